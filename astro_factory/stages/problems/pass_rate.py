"""Problems of medium difficulty: those that a model solves sometimes, from which RL can learn."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import LATER
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.answering import AnsweringConfig, answering_work, answers_of
from astro_factory.stages.generation import verify_all
from astro_factory.stages.problems.own_verifier import schema_like
from astro_factory.stages.sampling_hooks import cores, gpus, lighter, requirements

OUTPUT = ArtifactType.PROBLEMS
VERSION = 1
HEAVY = True

__all__ = ["HEAVY", "OUTPUT", "VERSION", "Config", "cores", "estimate", "gpus", "lighter", "requirements", "run"]

RATES_FILE = "pass_rates.parquet"
"""Every problem with how often it was solved; part of the output."""
_UNJUDGED = (Outcome.UNPARSEABLE_GOLD, Outcome.ERROR)


class Config(AnsweringConfig):
    kind: Literal["pass_rate"]
    keep: tuple[float, float] = (0.1, 0.9)
    """Range of the solved share, both ends included, in which a problem is kept."""
    limit: Annotated[int | None, Field(gt=0), LATER] = None
    """Most problems; of more, as many are kept at equal distances in the table. Default: all."""

    @model_validator(mode="after")
    def _range(self) -> "Config":
        low, high = self.keep
        if not 0 <= low <= high <= 1:
            raise ValueError("keep needs two numbers with 0 <= low <= high <= 1")
        return self


def estimate(config: Config, rows: Rows) -> Workload:
    return answering_work(config, rows)


def run(ctx: StageContext, config: Config) -> None:
    """Raises `UserError` E435 if no problem is left."""
    rows = read_table(ctx.inputs[config.problems] / TABLE_FILES[ArtifactType.PROBLEMS])
    problems = [Problem.from_row(row) for row in rows]
    rates = _rates(ctx, config, problems)
    low, high = config.keep
    left = [row for row, rate in zip(rows, rates, strict=True) if rate["judged"] and low <= rate["solved"] <= high]
    if not left:
        tried = ", ".join(f"{rate:g}" for rate in sorted({round(rate["solved"], 3) for rate in rates}))
        cause = f"no problem is solved in {low:g} to {high:g} of {config.samples} tries; the shares are {tried}"
        raise UserError.of("E435", cause, "widen 'keep', or let another model try")
    if config.limit and config.limit < len(left):
        left = [left[index * len(left) // config.limit] for index in range(config.limit)]
    write_table(ctx.out / TABLE_FILES[OUTPUT], left, schema_like(ctx.inputs[config.problems] / TABLE_FILES[OUTPUT]))
    write_table(ctx.out / RATES_FILE, rates, _rate_schema())


def _rates(ctx: StageContext, config: Config, problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """How often each problem was solved. Responses that could not be judged do not count."""
    verdicts = verify_all(ctx, answers_of(ctx, config, problems))
    size = config.samples
    return [_rate(problem, verdicts[index * size : (index + 1) * size]) for index, problem in enumerate(problems)]


def _rate(problem: Problem, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    judged = [verdict.correct for verdict in verdicts if verdict.outcome not in _UNJUDGED]
    return {"id": problem.id, "judged": len(judged), "solved": sum(judged) / len(judged) if judged else 0.0}


def _rate_schema() -> Any:
    import pyarrow as pa

    return pa.schema([("id", pa.string()), ("judged", pa.int32()), ("solved", pa.float64())])
