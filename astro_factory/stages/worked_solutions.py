"""The worked solutions of a data set as dialogues, for a warm-up: steps and answer in the form that a search uses.

A model that has not practised this form states no answer that a verifier finds, and a search of it gives empty trees.
Problems keep the column of their solutions with `fields: {info: [solution]}`.
"""

import re
from typing import Literal

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import ProblemsRef, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.dialogues import dialogue_row, dialogue_schema
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.step_format import StepFormat, StepsField
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.generation import verify_all

OUTPUT = ArtifactType.DIALOGUES
VERSION = 1
HEAVY = False

_CALCULATOR = re.compile(r"<<[^<>]*>>")
"""GSM8K's notes for a calculator: `48/2 = <<48/2=24>>24`."""
_STATED = re.compile(r"^[^\S\n]*####.*$", re.MULTILINE)
"""GSM8K's line with the answer."""
_LINES = StepFormat(format="line")


class Config(StageConfig):
    kind: Literal["worked_solutions"]
    problems: ProblemsRef
    """Problems with their solutions."""
    solution: str = "solution"
    """Column of the solutions, one of the problems' `fields.info`. Each line is a step."""
    steps: StepsField = _LINES
    """How steps are written, as in the search."""
    closing: str = Field(r"The answer is \boxed{ANSWER}.", pattern="ANSWER")
    """Last step, with the problem's answer for ANSWER; solutions with a `\\boxed` answer have it already."""
    max_steps: int | None = Field(None, gt=0)
    """Leave out solutions with more steps, without the last one. Default: none."""


def estimate(config: Config, rows: Rows) -> Workload:
    count = rows.get(config.problems)
    return Workload("dialogues", count, rows=count)


def run(ctx: StageContext, config: Config) -> None:
    """Raises `UserError` E433 if the column is missing, or no solution ends with the known answer."""
    table = read_table(ctx.inputs[config.problems] / TABLE_FILES[ArtifactType.PROBLEMS])
    problems = [Problem.from_row(row) for row in table]
    if lacking := [problem.id for problem in problems if not isinstance(problem.info.get(config.solution), str)]:
        cause = f"{len(lacking)} of {len(problems)} problems of '{config.problems}' have no text '{config.solution}'"
        raise UserError.of("E433", cause, f"write `fields: {{info: [{config.solution}]}}` for these problems")
    solved = [(problem, steps_of(problem, config)) for problem in problems]
    most = config.max_steps or max(len(steps) for _, steps in solved)
    short = [(problem, steps) for problem, steps in solved if len(steps) - 1 <= most]
    written = [(problem, config.steps.join(steps)) for problem, steps in short]
    verdicts = verify_all(ctx, written)
    right = [pair for pair, verdict in zip(written, verdicts, strict=True) if verdict.correct]
    if not right:
        cause = f"none of {len(problems)} solutions in '{config.solution}' ends with the known answer"
        raise UserError.of("E433", cause, "name the column of the worked solutions, or raise 'max_steps'")
    rows = (dialogue_row(problem.id, "solve", problem.question, text) for problem, text in right)
    write_table(ctx.out / TABLE_FILES[OUTPUT], rows, dialogue_schema())
    long, wrong = len(solved) - len(short), len(written) - len(right)
    ctx.events.log(f"{len(right)} solutions; left out: {long} with more steps, {wrong} that do not end with the answer")


def steps_of(problem: Problem, config: Config) -> list[str]:
    """The steps of a problem's solution, the last one with the answer in a box."""
    text = _STATED.sub("", _CALCULATOR.sub("", problem.info[config.solution]))
    steps = [line.strip() for line in text.split("\n") if line.strip()]
    if r"\boxed" not in text:
        steps.append(config.closing.replace("ANSWER", problem.answer))
    return steps
