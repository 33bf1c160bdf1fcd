"""Supervised fine-tuning of a model on traces or practice documents."""

from collections.abc import Iterable, Mapping
from typing import Literal

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.context import StageContext
from astro_factory.core.machines import Machine
from astro_factory.core.model_shapes import ModelShape
from astro_factory.core.requirements import Changes, Requirements
from astro_factory.core.workload import Rows, Workload, times
from astro_factory.stages.requirements import lighter_training, training_needs
from astro_factory.training.launch import is_training_process, run_distributed
from astro_factory.training.settings import SFTSettings

OUTPUT = ArtifactType.MODEL
VERSION = 1
HEAVY = True


class Config(SFTSettings):
    kind: Literal["sft"]


def cores(config: Config) -> int:
    """CPU cores that the stage keeps busy."""
    return config.launch.processes * config.threads


def gpus(config: Config) -> int:
    """GPUs that the stage needs: one for each process."""
    return config.launch.gpus


def requirements(
    config: Config, shapes: Mapping[str, ModelShape], workload: Workload, machine: Machine
) -> Requirements | None:
    """Of the processes that train."""
    shape = shapes.get(config.model)
    return None if shape is None else training_needs(config, shape, workload, machine)


def lighter(config: Config, machine: Machine) -> Iterable[Changes]:
    """Smaller forward passes, sharding, offloading."""
    return lighter_training(config, machine)


def threads(config: Config) -> int:
    """CPU threads of each process."""
    return config.threads


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
