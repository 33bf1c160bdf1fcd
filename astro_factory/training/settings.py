"""The settings that SFT and reinforcement learning share; part of their stages' keys, so nothing heavy is imported."""

from typing import Annotated, Literal

from pydantic import Field

from astro_factory.core.config import NOT_SEMANTIC, Config, DialoguesRef, ModelRef, StageConfig


class DeepSpeed(Config):
    """DeepSpeed's sharding of what data-parallel processes would otherwise all hold."""

    zero_stage: Literal[1, 2, 3] = 2
    """1: optimizer states are sharded; 2: gradients too; 3: weights too."""
    offload_optimizer: bool = False
    """Whether optimizer states live in main memory instead of on the device."""


class Launch(Config):
    """How many processes train together. Their number is part of the key: sums in another order are other bits."""

    processes: int = Field(1, ge=1)
    """Data-parallel processes: one for each GPU, or a few on a CPU (gloo). A step's batch is divided among them."""
    deepspeed: DeepSpeed | None = None
    """Shard with DeepSpeed; without it the processes run plain data parallelism (DDP)."""

    @property
    def spreads(self) -> bool:
        """Whether training happens in processes of its own; DeepSpeed needs its launcher even for one."""
        return self.processes > 1 or self.deepspeed is not None


class TrainingConfig(StageConfig):
    """Fields of every training stage."""

    model: ModelRef
    """The model that training starts from."""
    learning_rate: float = Field(gt=0)
    """Highest learning rate of the schedule."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Form of the learning rate after the warm-up."""
    min_learning_rate_ratio: float = Field(0.0, ge=0, le=1)
    """Where cosine and linear schedules end, as a share of `learning_rate`."""
    warmup_steps: int = Field(0, ge=0)
    """Optimizer steps in which the learning rate rises from 0."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon` treats hidden matrices with Muon and the rest with AdamW, at one learning rate."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay of matrices; norms and biases have none."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of AdamW's two moments."""
    max_grad_norm: float = Field(1.0, ge=0)
    """Gradients are scaled down to this norm; 0 leaves them."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16` computes under autocast; the weights that are optimized stay in single precision."""
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    """Implementation in transformers; `auto` is eager on a CPU, where it is the fastest for short texts, else sdpa."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more time."""
    seed: int = 0
    """Source of randomness."""
    launch: Launch = Launch()
    """Processes and sharding."""
    threads: int = Field(1, ge=1)
    """CPU threads of each process; part of the key, since they divide sums."""
    save_every: Annotated[int, NOT_SEMANTIC] = Field(500, ge=1)
    """Optimizer steps between checkpoints. A resumed run gives the same bytes as one that never stopped."""
    log_every: Annotated[int, NOT_SEMANTIC] = Field(10, ge=1)
    """Optimizer steps between points of the training curves."""


class SFTSettings(TrainingConfig):
    """Fields of supervised fine-tuning."""

    data: DialoguesRef
    """Traces or practice documents; every row is one dialogue whose last message is learned."""
    epochs: int = Field(1, ge=1)
    """Passes over the data."""
    max_steps: int | None = Field(None, ge=1)
    """Exactly this many optimizer steps instead of `epochs`."""
    batch_size: int = Field(64, ge=1)
    """Sequences in an optimizer step, over all processes."""
    batch_tokens: int | None = Field(None, ge=1)
    """Tokens in an optimizer step, over all processes, instead of `batch_size`: as many sequences as fit."""
    micro_batches: int = Field(1, ge=1)
    """Forward passes that each process divides its share of a step into; more take less memory."""
    length_window: int = Field(1, ge=1)
    """Sequences are sorted by length within this many steps, which saves padding; 1 makes each step a fair draw."""
    max_length: int | None = Field(None, ge=2)
    """Longer dialogues (in tokens) are left out, and the log says how many; by default what the model can take."""
    loss: Literal["response", "all"] = "response"
    """Which tokens are learned: the last message and its end, or the prompt too."""
