"""Responses of a model to a set of problems, for stages that judge them or keep them."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from astro_factory.core.config import NOT_SEMANTIC, ModelRef, ProblemsRef, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.problems import Problem
from astro_factory.core.workload import Rows, Workload, times
from astro_factory.engines.config import EngineField
from astro_factory.stages.generation import Batch, conversation_about, sample_all, sampling_of
from astro_factory.stages.sampling_hooks import Backend

Answer = tuple[Problem, str]
"""A problem and a response to it."""


class AnsweringConfig(StageConfig):
    """Fields of the stages that let a model answer problems."""

    problems: ProblemsRef
    """The problems to answer."""
    model: ModelRef
    """The model that answers them."""
    engine: EngineField
    """How text is generated."""
    samples: int = Field(8, gt=0)
    """Responses to each problem."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature."""
    max_tokens: int = Field(1024, gt=0)
    """Longest response, in tokens."""
    seed: int = 0
    """Source of randomness."""
    group: int = Field(32, gt=0)
    """Problems that a process samples together: many keep the engine full, few spread evenly over processes."""
    processes: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 1
    """Processes that sample side by side, each with its own copy of the model; they share the machine's GPUs."""
    backend: Annotated[Backend, NOT_SEMANTIC] = "local"
    """Where the processes run: on this machine, or as actors of the Ray cluster at `RAY_ADDRESS`."""


def answering_work(config: AnsweringConfig, rows: Rows, most: int = 1) -> Workload:
    """What the samples cost; `most` is the largest number of rows that come of a problem."""
    count = rows.get(config.problems)
    samples = times(count, config.samples)
    tokens = times(samples, config.max_tokens)
    return Workload("samples", samples, rows=times(count, most), calls=samples, tokens=tokens)


def answers_of(ctx: StageContext, config: AnsweringConfig, problems: Sequence[Problem]) -> list[Answer]:
    """`samples` responses to each problem, in the order of the problems."""
    sampling = sampling_of(ctx, config)
    questions = [conversation_about(problem, config.seed, range(config.samples)) for problem in problems]
    starts = range(0, len(questions), config.group)
    batches = [Batch(sampling, questions[start : start + config.group]) for start in starts]
    sampled = [own for batch in sample_all(ctx, batches, config.processes, config.backend) for own in batch]
    return [(problem, sample["text"]) for problem, own in zip(problems, sampled, strict=True) for sample in own]
