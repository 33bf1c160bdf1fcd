"""Common parts of our SFT and GRPO trainers: arguments, optimizer, events, checkpoints that resume exactly."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from astro_factory.core.context import Events
from astro_factory.core.devices import cpu_multiplies_bf16, torch_device
from astro_factory.core.errors import UserError
from astro_factory.training.failures import Interrupted
from astro_factory.training.optimizers import learning_rate_share, make_optimizer
from astro_factory.training.settings import TrainingConfig

_COMPLETE = "complete-{rank}"
"""Marker of a rank that finished writing a checkpoint."""
_CURVES = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "num_tokens": "tokens",
    "mean_token_accuracy": "accuracy",
    "step_time": "seconds",
    "reward": "reward",
    "reward_std": "reward_std",
    "frac_reward_zero_std": "groups_without_signal",
    "replaced": "replaced_groups",
    "sampled": "sampled_tokens",
    "in_band": "problems_in_band",
    "skipped": "problems_skipped",
    "explored": "explored_prompts",
    "completions/mean_length": "length",
    "completions/clipped_ratio": "clipped",
    "backtracks": "backtracks",
    "dead_ends": "dead_ends",
    "revisited": "revisited",
    "unresolved": "unresolved_backtracks",
    "repeated": "repeated_attempts",
    "worded": "worded_backtracks",
    "entropy": "entropy",
    "kl": "kl",
    "clip_ratio/region_mean": "clipped_ratios",
    "alarms": "alarms",
}
"""TRL's name of a metric to ours; other metrics are not reported."""
VERDICT_PREFIX = "verdict/"
"""Prefix of the metrics that are verdict rates."""
SAMPLING_PREFIX = "sampling/"
"""Prefix of the metrics about the engine that samples: TRL's, and those of `rollout_mismatch`."""
_KEPT = (VERDICT_PREFIX, SAMPLING_PREFIX)
"""Prefixes of metrics that keep their names."""

Settings = TypeVar("Settings", bound=TrainingConfig)
_Base = Trainer if TYPE_CHECKING else object


class RecipeMixin(Generic[Settings], _Base):
    """Gives a TRL trainer our optimizer and schedule, and stops it from writing or sending anything else."""

    settings: Settings

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            trained: Any = model or self.model
            self.optimizer = make_optimizer(trained, self.settings)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LRScheduler:
        if self.lr_scheduler is None:
            optimizer = optimizer or self.optimizer
            assert optimizer is not None
            self.lr_scheduler = LambdaLR(
                optimizer, lambda step: learning_rate_share(step, num_training_steps, self.settings)
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def create_model_card(self, *_: object, **__: object) -> None:
        """Do nothing: cards are written when a model is published."""

    def _send_telemetry(self) -> None:
        """Do nothing."""


def common_arguments(settings: TrainingConfig, work: Path) -> dict[str, Any]:
    """Arguments of transformers' Trainer that both our trainers use."""
    cpu = torch_device() != "cuda"
    return {
        "output_dir": str(work / "checkpoints"),
        "use_cpu": cpu,
        "bf16": autocasts(settings),
        "tf32": None if cpu else settings.precision == "tf32",
        "learning_rate": settings.learning_rate,
        "max_grad_norm": settings.max_grad_norm,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "seed": settings.seed,
        "logging_steps": settings.log_every,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": settings.save_every,
        "save_total_limit": 2,
        "dataloader_pin_memory": not cpu,
        "remove_unused_columns": False,
        "ddp_find_unused_parameters": False,
        "ddp_broadcast_buffers": False,
        "report_to": "none",
        "disable_tqdm": True,
        "deepspeed": deepspeed_config(settings),
        **fsdp_arguments(settings),
    }


def autocasts(settings: TrainingConfig) -> bool:
    """Whether to compute in bf16. A CPU that cannot multiply in bf16 does so only if the weights are in bf16 too."""
    slow = torch_device() != "cuda" and not cpu_multiplies_bf16()
    in_bf16 = settings.adapter or settings.launch.deepspeed
    return settings.precision == "bf16" and bool(in_bf16 or not slow)


def fsdp_arguments(settings: TrainingConfig) -> dict[str, Any]:
    """Arguments of transformers' Trainer for FSDP2: each layer is a unit, and each process saves its shards."""
    sharding = settings.launch.fsdp
    if sharding is None:
        return {}
    config = {
        "version": 2,
        "reshard_after_forward": sharding.reshard_after_forward,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "state_dict_type": "SHARDED_STATE_DICT",
    }
    return {"fsdp": True, "fsdp_config": config}


def deepspeed_config(settings: TrainingConfig) -> dict[str, Any] | None:
    """DeepSpeed's configuration; transformers fills in `auto`.

    `train_batch_size` is left out: at stage 3 DeepSpeed would check it before it knows the number of processes.
    """
    sharding = settings.launch.deepspeed
    if sharding is None:
        return None
    zero: dict[str, Any] = {"stage": sharding.zero_stage, "stage3_gather_16bit_weights_on_model_save": True}
    if sharding.offload_optimizer:
        zero["offload_optimizer"] = {"device": "cpu"}
    return {
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": settings.precision == "bf16"},
        "data_types": {"grad_accum_dtype": sharding.gradient_dtype},
        "gradient_clipping": settings.max_grad_norm,
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
    }


def train(trainer: Trainer, settings: TrainingConfig, work: Path, events: Events, round_steps: int = 1) -> None:
    """Run a trainer to the end, from the last complete checkpoint if there is one.

    On SIGTERM or Ctrl-C it saves a checkpoint after a multiple of `round_steps` steps and raises `Interrupted`.
    """
    if trainer.accelerator.num_processes != settings.launch.processes:
        found = trainer.accelerator.num_processes
        raise RuntimeError(f"training runs in {found} processes, not in {settings.launch.processes}")
    if settings.launch.fsdp and not trainer.is_fsdp_enabled:
        raise RuntimeError(f"training does not shard: accelerate chose {trainer.accelerator.distributed_type}")
    trainer.remove_callback(PrinterCallback)
    if settings.precision == "bf16" and trainer.args.use_cpu and not cpu_multiplies_bf16():
        slow = "this CPU cannot multiply in bf16: "
        events.log(slow + ("`precision: fp32` would be faster" if trainer.args.bf16 else "it computes in fp32"))
    checkpoints = _Checkpoints(trainer, round_steps, 60 * settings.save_every_minutes)
    for callback in (_Report(events), _Complete(), checkpoints):
        trainer.add_callback(callback)
    events.phase("train")
    with checkpoints.listening():
        trainer.train(resume_from_checkpoint=last_checkpoint(work, settings.launch.processes))
    if checkpoints.stopped:
        raise Interrupted(f"stopped after step {trainer.state.global_step}; run again to resume")


def last_checkpoint(work: Path, processes: int) -> str | None:
    """The newest checkpoint that every process finished writing."""
    checkpoints = sorted((work / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    complete = [p for p in checkpoints if all((p / _COMPLETE.format(rank=rank)).exists() for rank in range(processes))]
    return str(complete[-1]) if complete else None


class _Report(TrainerCallback):
    """Reports progress and the training curves."""

    def __init__(self, events: Events):
        self._events = events

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            self._events.progress(state.global_step, state.max_steps, "steps")

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logs: dict[str, float] = kwargs["logs"]
        if not math.isfinite(logs.get("loss", 0.0)):
            raise UserError.of(
                "E504",
                f"the loss is {logs['loss']} at step {state.global_step}",
                "lower learning_rate, or set max_grad_norm and warmup_steps",
            )
        if state.is_world_process_zero and "loss" in logs:
            named = {_CURVES.get(key, key if key.startswith(_KEPT) else ""): value for key, value in logs.items()}
            self._events.metric(state.global_step, {key: value for key, value in named.items() if key})


class _Complete(TrainerCallback):
    """Marks a checkpoint as complete when all is written, so that a kill during a save costs only that checkpoint."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        (folder / _COMPLETE.format(rank=args.process_index)).touch()


class _Checkpoints(TrainerCallback):
    """Saves after a given time, and saves and stops after a signal, in all processes at the same step."""

    def __init__(self, trainer: Trainer, round_steps: int, every_s: float):
        self._trainer = trainer
        self._round_steps, self._every_s = round_steps, every_s
        self._requested = False
        self._saved = time.monotonic()
        self.stopped = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT, if this is the main thread."""
        try:
            before = {number: signal.signal(number, self._request) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # only the main thread can set handlers
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _request(self, *_: object) -> None:
        self._requested = True

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        stop, save = self._in_any_process(self._requested, time.monotonic() - self._saved >= self._every_s)
        if state.global_step % self._round_steps or state.global_step >= state.max_steps:
            return
        control.should_save |= stop or save
        if stop:
            self.stopped = control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._saved = time.monotonic()

    def _in_any_process(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set in any process."""
        if self._trainer.args.world_size == 1:
            return list(flags)
        total = self._trainer.accelerator.reduce(torch.tensor(flags, dtype=torch.int, device=self._trainer.args.device))
        assert isinstance(total, torch.Tensor)
        return [bool(count) for count in total.tolist()]
