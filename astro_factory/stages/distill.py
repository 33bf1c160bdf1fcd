"""A model's own correct responses as dialogues to train on, as they are or without their abandoned branches.

As they are: rejection sampling, which teaches a model what it does when it is right (STaR, arXiv 2203.14465). Without
branches: a control for models that search in their context. It shows how much of a response teaches by its solution
alone, without the way there.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import TemplateField
from astro_factory.core.context import StageContext
from astro_factory.core.dialogues import dialogue_row, dialogue_schema
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.step_format import LINES, StepsField
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.answering import Answer, AnsweringConfig, answering_work, answers_of
from astro_factory.stages.generation import verify_all
from astro_factory.stages.sampling_hooks import cores, gpus, lighter, requirements
from astro_factory.traces.final_path import final_path
from astro_factory.traces.response_parser import ResponseParser

OUTPUT = ArtifactType.DIALOGUES
VERSION = 1
HEAVY = True

__all__ = ["HEAVY", "OUTPUT", "VERSION", "Config", "cores", "estimate", "gpus", "lighter", "requirements", "run"]


class Config(AnsweringConfig):
    kind: Literal["distill"]
    branches: Literal["keep", "drop"] = "keep"
    """`keep`: responses as they are. `drop`: only the steps that lead to the answer; responses whose path is not known,
    or that are wrong without their branches, are left out."""
    template: TemplateField | None = None
    """Wording of the responses, by which `drop` finds where they go back in domains without states."""
    response_steps: StepsField | None = None
    """What a step of a response is, for `drop`: a name from `step_formats:`, or a mapping. Default: a line."""
    samples: int = Field(4, gt=0)
    """Responses to each problem."""
    per_problem: int = Field(1, gt=0)
    """Dialogues of each problem, at most: the first different ones."""


def estimate(config: Config, rows: Rows) -> Workload:
    return answering_work(config, rows, most=min(config.samples, config.per_problem))


def run(ctx: StageContext, config: Config) -> None:
    """Raises `UserError` E440 if no response is left."""
    rows = read_table(ctx.inputs[config.problems] / TABLE_FILES[ArtifactType.PROBLEMS])
    problems = [Problem.from_row(row) for row in rows]
    responses = answers_of(ctx, config, problems)
    right = _correct(ctx, responses)
    kept = right if config.branches == "keep" else _correct(ctx, list(_without_branches(config, right)))
    dialogues = list(_first_different(kept, config.per_problem))
    if not dialogues:
        cause = f"{len(right):,} of {len(responses):,} responses are correct"
        cause += ", and none of them without its branches" if right else ""
        raise UserError.of("E440", cause, "let a better model answer, or easier problems")
    write_table(ctx.out / TABLE_FILES[OUTPUT], dialogues, dialogue_schema())
    ctx.events.log(
        f"{len(dialogues):,} dialogues from {len(responses):,} responses: {len(right):,} are correct"
        + (f", {len(kept):,} without their branches too" if config.branches == "drop" else "")
    )


def _correct(ctx: StageContext, pairs: Sequence[Answer]) -> list[Answer]:
    verdicts = verify_all(ctx, pairs)
    return [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.correct]


def _without_branches(config: Config, pairs: Sequence[Answer]) -> Iterator[Answer]:
    parser = ResponseParser(config.template, steps=config.response_steps)
    for problem, text in pairs:
        path = final_path(problem, text, parser, config.response_steps or LINES)
        if path:
            yield problem, path


def _first_different(pairs: Sequence[Answer], most: int) -> Iterator[dict[str, Any]]:
    seen: dict[str, list[str]] = {}
    for problem, text in pairs:
        texts = seen.setdefault(problem.id, [])
        if text in texts or len(texts) == most:
            continue
        texts.append(text)
        name = f"{problem.id}/{len(texts) - 1}" if most > 1 else problem.id
        yield dialogue_row(name, "solve", problem.question, text)
