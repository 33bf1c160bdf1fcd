"""What our SFT and GRPO trainers have in common: arguments, optimizer, events, checkpoints that resume exactly."""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from astro_factory.core.context import Events
from astro_factory.core.errors import UserError
from astro_factory.training.launch import Interrupted
from astro_factory.training.optimizers import learning_rate_share, make_optimizer
from astro_factory.training.settings import TrainingConfig

_DONE = "complete-{rank}"
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
    "completions/mean_length": "length",
    "completions/clipped_ratio": "clipped",
    "backtracks": "backtracks",
    "dead_ends": "dead_ends",
    "revisited": "revisited",
    "unresolved": "unresolved_backtracks",
    "entropy": "entropy",
    "kl": "kl",
    "clip_ratio/region_mean": "clipped_ratios",
    "alarms": "alarms",
}
"""TRL's name of a measure to ours; the others are not reported."""
VERDICTS = "verdict/"
"""Beginning of the measures that are rates of verdicts; they keep their names."""


class RecipeMixin:
    """Puts our optimizer and schedule into a TRL trainer and keeps it from writing or sending anything else."""

    settings: TrainingConfig

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = make_optimizer(model or self.model, self.settings)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(
                optimizer or self.optimizer,
                lambda step: learning_rate_share(step, num_training_steps, self.settings),
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Cards are written when something is published."""

    def _send_telemetry(self) -> None:
        """Nothing is sent anywhere."""


def common_arguments(settings: TrainingConfig, work: Path) -> dict[str, Any]:
    """Arguments of transformers' trainer that both our trainers use."""
    cpu = not torch.cuda.is_available()
    return {
        "output_dir": str(work / "checkpoints"),
        "use_cpu": cpu,
        "bf16": settings.precision == "bf16",
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
        "deepspeed": _deepspeed(settings),
    }


def _deepspeed(settings: TrainingConfig) -> dict[str, Any] | None:
    """DeepSpeed's own configuration; transformers fills in what is `auto`.

    `train_batch_size` is left out: at stage 3 it would be checked before the number of processes is known.
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
        "gradient_clipping": settings.max_grad_norm,
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
    }


def train(trainer: Any, settings: TrainingConfig, work: Path, events: Events, round_steps: int = 1) -> None:
    """Run a trainer to its end, from the last complete checkpoint if there is one.

    On SIGTERM or Ctrl-C it saves a checkpoint, after a multiple of `round_steps` steps, and raises `Interrupted`.
    """
    if trainer.accelerator.num_processes != settings.launch.processes:
        raise RuntimeError(f"{trainer.accelerator.num_processes} processes train, not {settings.launch.processes}")
    trainer.remove_callback(PrinterCallback)
    stop = _Stop(trainer, round_steps)
    for callback in (_Report(events), _Complete(), stop):
        trainer.add_callback(callback)
    events.phase("train")
    with stop.listening():
        trainer.train(resume_from_checkpoint=last_checkpoint(work, settings.launch.processes))
    if stop.reached:
        raise Interrupted(f"stopped after step {trainer.state.global_step}; run again to go on")


def last_checkpoint(work: Path, processes: int) -> str | None:
    """The newest checkpoint that every process finished writing."""
    found = sorted((work / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    whole = [p for p in found if all((p / _DONE.format(rank=rank)).exists() for rank in range(processes))]
    return str(whole[-1]) if whole else None


class _Report(TrainerCallback):
    """Sends progress and the training curves."""

    def __init__(self, events: Events):
        self._events = events

    def on_step_end(self, args, state, control, **_):
        if state.is_world_process_zero:
            self._events.progress(state.global_step, state.max_steps, "steps")

    def on_log(self, args, state, control, logs, **_):
        if not math.isfinite(logs.get("loss", 0.0)):
            raise UserError.of(
                "E504",
                f"the loss is {logs['loss']} at step {state.global_step}",
                "lower learning_rate, or set max_grad_norm and warmup_steps",
            )
        if state.is_world_process_zero and "loss" in logs:
            named = {_CURVES.get(key, key if key.startswith(VERDICTS) else ""): value for key, value in logs.items()}
            self._events.metric(state.global_step, {key: value for key, value in named.items() if key})


class _Complete(TrainerCallback):
    """Marks a checkpoint as whole, last of all, so that a kill in the middle of a save costs only that checkpoint."""

    def on_save(self, args, state, control, **_):
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (folder / _DONE.format(rank=args.process_index)).touch()


class _Stop(TrainerCallback):
    """Ends training after the step in which a signal came, with a checkpoint; all processes at the same step."""

    def __init__(self, trainer: Any, round_steps: int):
        self._trainer = trainer
        self._round_steps = round_steps
        self._asked = False
        self.reached = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT, where this thread may."""
        try:
            before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread: whoever started it stops it
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, *_: Any) -> None:
        self._asked = True

    def on_step_end(self, args, state, control, **_):
        asked = self._asked
        if args.world_size > 1:
            flag = torch.tensor(int(asked), device=args.device)
            asked = bool(self._trainer.accelerator.reduce(flag, "sum").item())
        if asked and state.global_step % self._round_steps == 0 and state.global_step < state.max_steps:
            self.reached = control.should_save = control.should_training_stop = True
