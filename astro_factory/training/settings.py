"""Settings of SFT and reinforcement learning. They are part of stage keys, so nothing heavy is imported here."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from astro_factory.core.config import (
    LATER,
    NOT_SEMANTIC,
    ROUNDING,
    Config,
    DialoguesRef,
    ModelRef,
    NotSemantic,
    ProblemsRef,
    StageConfig,
)
from astro_factory.training.alarm_settings import Alarm
from astro_factory.training.launch_settings import Launch
from astro_factory.training.prompt_settings import Difficulty, StartFrom
from astro_factory.training.rollout_schedule import state_slots
from astro_factory.training.rollout_settings import EngineRollouts, RolloutCorrection, VLLMRollouts

_Decay = Annotated[float, Field(ge=0, lt=1)]
_OUTER = ("lm_head", "embed_tokens")
"""Layers that cannot have an adapter."""
_CISPO_HIGHEST_RATIO = 5.0
"""What TRL recommends, after ScaleRL (arXiv 2510.13786)."""


class LoraAdapter(Config):
    """Low-rank matrices that are trained instead of the weights (LoRA, arXiv 2106.09685)."""

    kind: Literal["lora"]
    rank: int = Field(default=32, ge=1)
    """Rank of the change of each matrix."""
    alpha: float = Field(default=32.0, gt=0)
    """The change is scaled by `alpha / rank`, so that the best learning rate hardly depends on the rank."""
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """Names of the linear layers that get an adapter, such as `q_proj`; by default all but the output layer."""

    @field_validator("target_modules")
    @classmethod
    def _inside(cls, names: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not names:
            raise ValueError("name at least one module, or leave it out for all-linear")
        if isinstance(names, tuple) and (twice := [name for name in names if names.count(name) > 1]):
            raise ValueError(f"it names '{twice[0]}' twice; name each module once")
        if isinstance(names, tuple) and (outer := [name for name in names if name in _OUTER]):
            raise ValueError(f"'{outer[0]}' cannot have an adapter: the loss reads its weights directly; leave it out")
        return names


class TrainingConfig(StageConfig):
    """Fields of every training stage."""

    model: ModelRef
    """The model to start from."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Shape of the learning rate after the warm-up."""
    min_learning_rate_ratio: float = Field(0.0, ge=0, le=1)
    """Final learning rate of cosine and linear schedules, as a share of `learning_rate`."""
    warmup_steps: int = Field(0, ge=0)
    """Optimizer steps over which the learning rate rises from 0."""
    adapter: Annotated[LoraAdapter | None, LATER] = None
    """Train an adapter and leave the weights of the model as they are: less memory, at a higher learning rate. If the
    model is an adapter itself, its training continues, with the same rank, alpha and modules."""
    quantize: Annotated[Literal["nf4"] | None, LATER] = None
    """Type of the frozen weights below an adapter: `nf4` takes 4 bits each (QLoRA, arXiv 2305.14314) and needs a GPU.
    By default they have the type of `precision`."""
    save: Annotated[Literal["merged", "adapter"], LATER] = "merged"
    """What a stage with an adapter writes: a whole model with the adapter `merged` into its weights, or the `adapter`
    in PEFT's layout, beside its base."""
    optimizer: Literal["adamw", "adamw_8bit", "muon"] = "adamw"
    """`adamw_8bit` keeps AdamW's moments in 8 bits each (arXiv 2110.02861) and needs a GPU; `muon` uses Muon for hidden
    matrices and AdamW for the rest, at one learning rate."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay of matrices; norms and biases have none."""
    adam_betas: tuple[_Decay, _Decay] = (0.9, 0.999)
    """Decay rates of AdamW's two moments."""
    max_grad_norm: float = Field(1.0, ge=0)
    """Gradients are clipped to this norm; 0 turns clipping off."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """`bf16` computes under autocast or, with DeepSpeed, on weights in bf16; the optimized weights stay in single
    precision. A CPU that cannot multiply in bf16 (x86 without AVX-512) computes in single precision, which is several
    times faster there, unless the weights are in bf16 (adapters, DeepSpeed). `tf32` is single precision whose matrix
    products on GPUs keep 10 bits of the mantissa: several times faster. On a CPU it equals `fp32`."""
    attention: Annotated[Literal["auto", "eager", "sdpa", "flash_attention_2"], ROUNDING] = "auto"
    """Implementation in transformers; `auto` is eager on a CPU, where it is the fastest for short texts, else sdpa.
    `flash_attention_2` also computes without padding."""
    gradient_checkpointing: Annotated[bool, NotSemantic(recorded=False)] = False
    """Recompute activations in the backward pass: less memory, a third more time."""
    seed: int = 0
    """Source of randomness."""
    launch: Launch = Launch()
    """Processes and sharding."""
    threads: Annotated[int, ROUNDING] = Field(1, ge=1)
    """CPU threads of each process. Part of the key: the order of additions depends on them."""
    save_every: Annotated[int, NOT_SEMANTIC] = Field(500, ge=1)
    """Optimizer steps between checkpoints. A resumed run gives the same bytes as an uninterrupted one."""
    save_every_minutes: Annotated[float, NOT_SEMANTIC] = Field(30.0, gt=0)
    """Longest time between checkpoints, to the end of the step in which it is reached. What comes first counts."""
    log_every: Annotated[int, NOT_SEMANTIC] = Field(10, ge=1)
    """Optimizer steps between points of the training curves."""
    grace_s: Annotated[float, Field(gt=0), NOT_SEMANTIC] = 600.0
    """How long training may take to finish its step and write a checkpoint when it is asked to stop. After that its
    processes are killed, and it resumes from an earlier checkpoint."""

    @property
    def flattens(self) -> bool:
        """Whether a forward pass takes its sequences one after the other, without padding.

        FlashAttention 2 has a kernel for that. PyTorch's would need an explicit mask, which rules out its fast kernels.
        """
        return self.attention == "flash_attention_2"

    @model_validator(mode="after")
    def _whole_matrices(self) -> "TrainingConfig":
        sharding = "DeepSpeed" if self.launch.deepspeed else "FSDP" if self.launch.fsdp else ""
        if self.optimizer == "muon" and sharding:
            raise ValueError(f"muon needs whole matrices, but {sharding} shards them; set optimizer to adamw")
        if self.optimizer == "adamw_8bit" and self.launch.fsdp:
            raise ValueError("bitsandbytes cannot update the shards of FSDP; set optimizer to adamw, or use deepspeed")
        if self.adapter and self.launch.fsdp:
            raise ValueError("fsdp trains whole models; with an adapter leave it out, or use deepspeed")
        return self

    @model_validator(mode="after")
    def _frozen(self) -> "TrainingConfig":
        if self.adapter is None and self.save == "adapter":
            raise ValueError("save: adapter needs an adapter, such as adapter: {kind: lora}")
        if self.adapter and self.optimizer == "muon":
            raise ValueError("muon is for whole matrices, not for the factors of an adapter; set optimizer to adamw")
        if self.quantize is None:
            return self
        if self.adapter is None:
            raise ValueError("weights in 4 bits cannot be trained; add an adapter, such as adapter: {kind: lora}")
        if self.precision != "bf16":
            raise ValueError(f"quantize: {self.quantize} computes in bf16; set precision to bf16")
        if self.launch.deepspeed and self.launch.deepspeed.zero_stage == 3:
            raise ValueError(f"ZeRO-3 cannot shard weights in {self.quantize}; set zero_stage to 2")
        return self


class SFTSettings(TrainingConfig):
    """Fields of supervised fine-tuning."""

    data: DialoguesRef
    """Traces or practice documents; each row is a dialogue whose last message is the response to learn."""
    epochs: int = Field(1, ge=1)
    """Passes over the data."""
    max_steps: int | None = Field(None, ge=1)
    """Exactly this many optimizer steps instead of `epochs`."""
    match_tokens: Annotated[DialoguesRef | None, LATER] = None
    """Train on as many tokens as `epochs` passes over these traces have, give or take half a step: a control with equal
    tokens whose own traces are shorter or longer. Dialogues above `max_length` are left out in both."""
    batch_size: int = Field(64, ge=1)
    """Sequences in an optimizer step, over all processes."""
    batch_tokens: int | None = Field(None, ge=1)
    """Tokens in an optimizer step, padding included, over all processes. Replaces `batch_size`: a step has as many
    sequences as fit."""
    micro_batches: Annotated[int, ROUNDING] = Field(1, ge=1)
    """Forward passes into which each process divides its share of a step; more passes take less memory."""
    length_window: int = Field(1, ge=1)
    """Sequences are sorted by length within this many steps, which saves padding; with 1 steps are random samples."""
    max_length: int | None = Field(None, ge=2)
    """Dialogues with more tokens are left out and counted in the log; the default is the model's limit."""
    loss: Literal["response", "all"] = "response"
    """Which tokens count in the loss: the last message with its terminator, or the prompt too."""

    @model_validator(mode="after")
    def _one_length(self) -> "SFTSettings":
        if self.match_tokens and self.max_steps:
            raise ValueError("match_tokens sets the number of steps; remove max_steps")
        return self


class Reward(Config):
    """Reward of each outcome. A group's mean is subtracted, so only differences matter."""

    correct: float = 1.0
    """Reward of a correct answer."""
    incorrect: float = 0.0
    """Reward of an incorrect answer."""
    no_answer: float | None = None
    """Reward of a response without an answer; defaults to `incorrect`."""
    timeout: Annotated[float | None, LATER] = None
    """Reward of an answer whose comparison used up its computing time; defaults to `incorrect`."""
    truncated: float | None = None
    """Reward of a response that was cut off at the length limit; by default it depends on the outcome."""
    length_cost: Annotated[float, Field(ge=0), LATER] = 0.0
    """What a correct response of `max_new_tokens` tokens loses of its reward; a shorter one loses in proportion. Then a
    group of correct responses teaches something too: to need fewer tokens (Arora and Zanette, arXiv 2502.04463). Other
    responses pay nothing, and it may not exceed what a correct answer earns above others, so that giving up early never
    pays."""

    @model_validator(mode="after")
    def _correct_pays(self) -> "Reward":
        others = (reward for reward in (self.incorrect, self.no_answer, self.timeout) if reward is not None)
        gain = self.correct - max(others)
        if self.length_cost > max(gain, 0):
            raise ValueError(
                f"length_cost ({self.length_cost:g}) is more than a correct answer earns above others ({gain:g}); "
                "a long correct response would earn less than a wrong one"
            )
        return self


class GRPOSettings(TrainingConfig):
    """Fields of reinforcement learning with verifiable rewards."""

    problems: ProblemsRef
    """The problems; each problem's verifier judges its responses."""
    steps: int = Field(ge=1)
    """Rounds: each samples and judges responses and trains on them for `num_iterations` optimizer steps."""
    count_tokens: Annotated[bool, LATER] = False
    """Whether to write the number of sampled tokens beside the model, so that another stage can match it."""
    match_tokens: Annotated[ModelRef | None, LATER] = None
    """A grpo stage with `count_tokens`: sample as many tokens, give or take half a round, in any number of rounds up to
    ten times `steps`. Needs a constant `schedule`, because the number of rounds is not known at first."""
    prompts_per_step: int = Field(ge=1)
    """Problems in a round, over all processes; a multiple of their number."""
    group_size: int = Field(ge=2)
    """Responses to each problem; advantages are relative to this group."""
    max_replacements: Annotated[int, LATER] = Field(0, ge=0)
    """Dynamic sampling (DAPO): how often a group whose responses all earn the same reward, which teaches nothing, is
    replaced by one of another problem. A round samples at most 1 + this many times its responses. 0 replaces none."""
    difficulty: Annotated[Difficulty | None, LATER] = None
    """Ask problems more often whose pass rate under the present policy lies in a band. By default every problem comes
    once, in random order, before any comes again."""
    start_from: Annotated[StartFrom | None, LATER] = None
    """Let a share of the prompts go on from states of stored search trees. By default every response begins anew."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature; the loss uses the same one."""
    max_new_tokens: int = Field(ge=1)
    """Longest response, in tokens; with `start_from`, what follows the beginning."""
    loss: Literal["dapo", "grpo", "dr_grpo", "cispo"] = "dapo"
    """Normalization: over all tokens of the step (dapo, cispo), over each response's tokens (grpo), over a constant
    length (dr_grpo)."""
    beta: float = Field(0.0, ge=0)
    """Weight of the KL divergence from the initial model; 0 needs no second model."""
    epsilon: float = Field(0.2, gt=0)
    """Clip range of the probability ratio below 1; also above 1 unless `epsilon_high` is set."""
    epsilon_high: float | None = Field(None, gt=0)
    """Clip range of the probability ratio above 1. For cispo it is the highest ratio itself, by default 5."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """The standard deviation by which advantages are divided."""
    reward: Reward = Reward()
    """Reward of each outcome."""
    alarm: Annotated[Alarm, NOT_SEMANTIC] = Alarm()
    """Verdict rates, and mismatch with the engine that samples, that raise an alarm."""
    num_iterations: int = Field(1, ge=1)
    """Optimizer steps on each round's responses."""
    mask_truncated: bool = False
    """Whether to leave cut-off responses out of the loss."""
    micro_batch_size: Annotated[int, ROUNDING] = Field(32, ge=1)
    """Maximum responses in a forward pass; a process divides its share of a round into equal passes of at most this."""
    rollouts: Annotated[EngineRollouts | VLLMRollouts, Field(discriminator="kind")] = EngineRollouts(kind="engine")
    """How responses are sampled."""
    off_policy_steps: Annotated[Literal[0, 1], LATER] = 0
    """How many rounds old the weights are that sample a round. With 1 the next round is sampled while this one trains,
    which saves time where a server samples on GPUs of its own; `rollouts.correction` weighs the responses."""
    log_every: Annotated[int, NOT_SEMANTIC] = Field(1, ge=1)
    """Optimizer steps between points of the training curves."""
    save_every: Annotated[int, NOT_SEMANTIC] = Field(20, ge=1)
    """Optimizer steps between checkpoints, rounded up to whole rounds."""

    @property
    def correction(self) -> RolloutCorrection | None:
        """How the loss corrects for the probabilities under which responses were sampled; None if it does not."""
        samples_current = isinstance(self.rollouts, EngineRollouts) and not self.off_policy_steps
        return None if samples_current else self.rollouts.correction

    @property
    def served(self) -> VLLMRollouts | None:
        """The rollouts if a server samples them."""
        rollouts = self.rollouts
        return rollouts if isinstance(rollouts, VLLMRollouts) and rollouts.mode == "server" else None

    @model_validator(mode="before")
    @classmethod
    def _highest_ratio(cls, fields: Any) -> Any:
        """Fill in `epsilon_high` of cispo, so that it is part of the key."""
        if isinstance(fields, dict) and fields.get("loss") == "cispo":
            return {"epsilon_high": _CISPO_HIGHEST_RATIO} | fields
        return fields

    @model_validator(mode="after")
    def _cispo_lets_ratios_pass(self) -> "GRPOSettings":
        if self.loss == "cispo" and (self.epsilon_high is None or self.epsilon_high < 1):
            raise ValueError(
                f"cispo limits the probability ratio itself to epsilon_high ({self.epsilon_high}), which must be at "
                f"least 1; leave it out for {_CISPO_HIGHEST_RATIO:g}"
            )
        return self

    @model_validator(mode="after")
    def _divisible(self) -> "GRPOSettings":
        if self.prompts_per_step % self.launch.processes:
            raise ValueError(
                f"prompts_per_step ({self.prompts_per_step}) must be a multiple of launch.processes "
                f"({self.launch.processes})"
            )
        return self

    @model_validator(mode="after")
    def _room(self) -> "GRPOSettings":
        longest = self.rollouts.max_model_len if isinstance(self.rollouts, VLLMRollouts) else None
        if longest and longest <= self.max_new_tokens:
            raise ValueError(
                f"max_new_tokens ({self.max_new_tokens}) leaves no room for a prompt "
                f"in rollouts.max_model_len ({longest})"
            )
        return self

    @model_validator(mode="after")
    def _shared_engines(self) -> "GRPOSettings":
        rollouts, here = self.rollouts, self.launch.processes_per_node
        if isinstance(rollouts, VLLMRollouts) and not self.served and here % rollouts.tensor_parallel_size:
            raise ValueError(
                f"rollouts.tensor_parallel_size ({rollouts.tensor_parallel_size}) must divide the processes of a node "
                f"({here}): that many of them share one engine"
            )
        return self

    @model_validator(mode="after")
    def _samples_from_whole_weights(self) -> "GRPOSettings":
        if self.launch.fsdp:
            raise ValueError("fsdp is for sft; rollouts need the whole weights, which DeepSpeed gathers: use deepspeed")
        return self

    @model_validator(mode="after")
    def _sent_weights(self) -> "GRPOSettings":
        if not isinstance(self.rollouts, VLLMRollouts) or self.adapter is None:
            return self
        if self.quantize:
            raise ValueError(f"vLLM cannot receive weights in {self.quantize}; leave out quantize, or the rollouts")
        if self.launch.deepspeed and self.launch.deepspeed.zero_stage == 3:
            raise ValueError(
                "vLLM receives merged weights, which have to be whole, but ZeRO-3 shards them; use zero_stage 2"
            )
        return self

    @model_validator(mode="after")
    def _corrected(self) -> "GRPOSettings":
        if self.off_policy_steps and isinstance(self.rollouts, VLLMRollouts):
            if not self.served:
                raise ValueError(
                    "off_policy_steps needs rollouts with mode: server, or of kind engine; a colocated engine shares "
                    "the GPUs with training, so that nothing could overlap"
                )
            if self.correction is None:
                raise ValueError("off_policy_steps needs rollouts.correction: responses come from older weights")
        if self.off_policy_steps and self.difficulty:
            raise ValueError("difficulty chooses prompts by the round before, which off_policy_steps does not wait for")
        return self

    @model_validator(mode="after")
    def _replaceable(self) -> "GRPOSettings":
        if self.max_replacements and isinstance(self.rollouts, VLLMRollouts) and not self.served:
            raise ValueError(
                "max_replacements needs rollouts of kind engine, or mode: server; TRL samples a round at once"
            )
        return self

    @model_validator(mode="after")
    def _some_states(self) -> "GRPOSettings":
        if self.start_from and not any(state_slots(self.prompts_per_step, self.start_from.share)):
            raise ValueError(
                f"start_from.share ({self.start_from.share:g}) of {self.prompts_per_step} prompts is less than one; "
                "raise it, or prompts_per_step"
            )
        return self

    @model_validator(mode="after")
    def _one_rate(self) -> "GRPOSettings":
        if self.match_tokens and self.schedule != "constant":
            raise ValueError("match_tokens needs a constant schedule: the number of rounds is not known at first")
        return self
