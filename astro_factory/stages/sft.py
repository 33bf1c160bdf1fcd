"""Supervised fine-tuning of a model on traces or practice documents."""

from typing import Literal

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.context import StageContext
from astro_factory.core.workload import Rows, Workload, times
from astro_factory.stages.training_hooks import cores, gpus, lighter, requirements, threads
from astro_factory.training.launch import is_training_process, run_distributed
from astro_factory.training.settings import SFTSettings

OUTPUT = ArtifactType.MODEL
VERSION = 1
HEAVY = True

__all__ = [
    "HEAVY",
    "OUTPUT",
    "VERSION",
    "Config",
    "cores",
    "estimate",
    "gpus",
    "lighter",
    "requirements",
    "run",
    "threads",
]


class Config(SFTSettings):
    kind: Literal["sft"]


def estimate(config: Config, rows: Rows) -> Workload:
    """A number of steps of a fixed size, or of epochs: over other traces, if their tokens are matched."""
    if config.max_steps and config.batch_tokens:
        return Workload("trained tokens", config.max_steps * config.batch_tokens)
    data = config.match_tokens or config.data
    sequences = config.max_steps * config.batch_size if config.max_steps else times(rows.get(data), config.epochs)
    return Workload("sequences", sequences)


def run(ctx: StageContext, config: Config) -> None:
    if config.launch.is_distributed and not is_training_process():
        return run_distributed(__name__, ctx, config, config.launch)
    from astro_factory.training.sft import train_sft

    matched = ctx.inputs[config.match_tokens] if config.match_tokens else None
    train_sft(config, ctx.inputs[config.model], ctx.inputs[config.data], ctx.out, ctx.scratch, ctx.events, matched)
