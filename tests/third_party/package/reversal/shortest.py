"""The stage kind `shortest`: keeps the shortest traces of each problem."""

from typing import Literal

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import StageConfig, TracesRef
from astro_factory.core.context import StageContext
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.workload import Rows, Workload
from astro_factory.traces.trace_table import trace_schema

OUTPUT = ArtifactType.TRACES
VERSION = 1
HEAVY = False


class Config(StageConfig):
    kind: Literal["shortest"]
    traces: TracesRef
    """The traces to choose from."""
    per_problem: int = Field(1, gt=0)
    """How many traces of a problem to keep."""


def estimate(config: Config, rows: Rows) -> Workload:
    return Workload("traces", rows.get(config.traces))


def run(ctx: StageContext, config: Config) -> None:
    table = TABLE_FILES[ArtifactType.TRACES]
    by_problem: dict[str, list[dict]] = {}
    for row in read_table(ctx.inputs[config.traces] / table):
        by_problem.setdefault(row["problem_id"], []).append(row)
    kept = []
    for rows in by_problem.values():
        rows.sort(key=lambda row: len(row["messages"][-1]["content"]))
        kept += rows[: config.per_problem]
    write_table(ctx.out / table, kept, trace_schema())
    ctx.events.progress(len(kept), len(kept), "traces")
