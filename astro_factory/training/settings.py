"""The settings that SFT and reinforcement learning share; part of their stages' keys, so nothing heavy is imported."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from astro_factory.core.config import NOT_SEMANTIC, Config, DialoguesRef, ModelRef, ProblemsRef, StageConfig


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

    @model_validator(mode="after")
    def _whole_matrices(self) -> "TrainingConfig":
        if self.optimizer == "muon" and self.launch.deepspeed:
            raise ValueError("muon works on whole matrices, which DeepSpeed divides; set optimizer to adamw")
        return self


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
    """Tokens in an optimizer step, padding included, over all processes, instead of `batch_size`: as many sequences as
    fit."""
    micro_batches: int = Field(1, ge=1)
    """Forward passes that each process divides its share of a step into; more take less memory."""
    length_window: int = Field(1, ge=1)
    """Sequences are sorted by length within this many steps, which saves padding; 1 makes each step a fair draw."""
    max_length: int | None = Field(None, ge=2)
    """Longer dialogues (in tokens) are left out, and the log says how many; by default what the model can take."""
    loss: Literal["response", "all"] = "response"
    """Which tokens are learned: the last message and its end, or the prompt too."""


class EngineRollouts(Config):
    """Rollouts are sampled in the training processes, from the weights that are being trained."""

    kind: Literal["engine"]
    batch_size: Annotated[int, NOT_SEMANTIC] = Field(256, ge=1)
    """Samples that are generated side by side in each process; speed and memory, not the samples."""


class VLLMRollouts(Config):
    """Rollouts come from vLLM through TRL; they are recorded, not reproducible."""

    kind: Literal["vllm"]
    mode: Literal["colocate", "server"] = "colocate"
    """`colocate`: an engine in each training process; `server`: a running server (`vllm serve`) gets the weights."""
    server_url: str | None = None
    """Base address of the server, such as `http://host:8000`."""
    gpu_memory_utilization: float = Field(0.3, gt=0, le=1)
    """Share of each GPU's memory for a colocated engine."""
    tensor_parallel_size: int = Field(1, ge=1)
    """GPUs that share one colocated engine."""
    max_model_len: int | None = Field(None, ge=2)
    """Longest prompt and response together; by default what the model can take."""
    sleep: bool = False
    """Whether a colocated engine gives its memory back while weights are updated."""


class Reward(Config):
    """What an outcome is worth. A group's mean is subtracted, so only differences matter."""

    correct: float = 1.0
    """Reward of a right answer."""
    incorrect: float = 0.0
    """Reward of a wrong answer, and of one that could not be judged in time."""
    no_answer: float | None = None
    """Reward of a response without an answer; as a wrong one unless given."""
    truncated: float | None = None
    """Reward of a response that was cut off at the length limit; by its outcome unless given."""


class VerdictAlarm(Config):
    """Rates of verdicts, at any point of the curves, at which training raises an alarm; a bound of 1 is none."""

    no_answer: float = Field(0.5, ge=0, le=1)
    """Highest share of responses that state no answer."""
    timeout: float = Field(0.05, ge=0, le=1)
    """Highest share of responses that could not be judged in time."""
    unjudged: float = Field(0.01, ge=0, le=1)
    """Highest share of responses that could not be judged for no fault of theirs: the verifier failed, or the known
    answer cannot be read."""
    jump: float = Field(0.2, ge=0, le=1)
    """How far one of these rates may rise above its mean of the ten points before."""
    stop: bool = False
    """End training where an alarm begins, rather than say so and go on."""


class GRPOSettings(TrainingConfig):
    """Fields of reinforcement learning with verifiable rewards."""

    problems: ProblemsRef
    """What is asked; each problem's verifier judges the responses."""
    steps: int = Field(ge=1)
    """Rounds: responses are sampled, judged and learned from, in `num_iterations` optimizer steps."""
    prompts_per_step: int = Field(ge=1)
    """Problems in a round, over all processes; a multiple of their number."""
    group_size: int = Field(ge=2)
    """Responses to each problem, which are compared with one another."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature; the loss is computed at the same one."""
    max_new_tokens: int = Field(ge=1)
    """Length at which a response is cut off."""
    loss: Literal["dapo", "grpo", "dr_grpo", "cispo"] = "dapo"
    """Normalization: over all tokens of the step (dapo, cispo), over each response's tokens (grpo), over a constant
    length (dr_grpo)."""
    beta: float = Field(0.0, ge=0)
    """Weight of the divergence from the model that training started from; 0 needs no second model."""
    epsilon: float = Field(0.2, gt=0)
    """Clip range of the probability ratio below 1, and above it unless `epsilon_high` is given."""
    epsilon_high: float | None = Field(None, gt=0)
    """Clip range of the probability ratio above 1."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """By which standard deviation advantages are divided."""
    reward: Reward = Reward()
    """Outcome to number."""
    alarm: Annotated[VerdictAlarm, NOT_SEMANTIC] = VerdictAlarm()
    """When the rates of verdicts are an alarm."""
    num_iterations: int = Field(1, ge=1)
    """Optimizer steps on each round's responses."""
    mask_truncated: bool = False
    """Leave responses that were cut off out of the loss."""
    micro_batch_size: int = Field(32, ge=1)
    """Most responses in a forward pass; a process divides its share of a round into equal passes of at most this."""
    rollouts: Annotated[EngineRollouts | VLLMRollouts, Field(discriminator="kind")] = EngineRollouts(kind="engine")
    """Where responses are sampled."""
    log_every: Annotated[int, NOT_SEMANTIC] = Field(1, ge=1)
    """Optimizer steps between points of the training curves."""
    save_every: Annotated[int, NOT_SEMANTIC] = Field(20, ge=1)
    """Optimizer steps between checkpoints, rounded up to whole rounds."""

    @model_validator(mode="after")
    def _divisible(self) -> "GRPOSettings":
        if self.prompts_per_step % self.launch.processes:
            raise ValueError(
                f"prompts_per_step ({self.prompts_per_step}) must be a multiple of launch.processes "
                f"({self.launch.processes})"
            )
        return self
