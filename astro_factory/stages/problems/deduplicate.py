"""Problems without duplicates: questions that are equal, or nearly so, word for word."""

import json
from typing import Literal

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import ProblemsRef, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.problems.overlap import twins, words_of
from astro_factory.stages.problems.own_verifier import schema_like

OUTPUT = ArtifactType.PROBLEMS
VERSION = 1
HEAVY = False

REMOVED_FILE = "removed.json"
"""The removed problems and why; part of the output."""


class Config(StageConfig):
    kind: Literal["deduplicate"]
    problems: ProblemsRef
    """The problems; the first of several equal ones is kept."""
    similarity: float = Field(0.8, gt=0, le=1)
    """Share of common runs of five words above which two questions count as equal; 1 removes only equal wordings. A low
    value also removes problems that differ only in their numbers, such as those made from a template."""


def estimate(config: Config, rows: Rows) -> Workload:
    count = rows.get(config.problems)
    return Workload("problems", count, rows=count)


def run(ctx: StageContext, config: Config) -> None:
    rows = read_table(ctx.inputs[config.problems] / TABLE_FILES[ArtifactType.PROBLEMS])
    problems = [Problem.from_row(row) for row in rows]
    found = twins(words_of([problem.question for problem in problems]), config.similarity)
    removed = {twin.index for twin in found}
    left = [row for index, row in enumerate(rows) if index not in removed]
    write_table(ctx.out / TABLE_FILES[OUTPUT], left, schema_like(ctx.inputs[config.problems] / TABLE_FILES[OUTPUT]))
    listed = [
        {
            "id": problems[twin.index].id,
            "same_as": problems[twin.of].id,
            "similarity": round(twin.similarity, 4),
            "answers_differ": problems[twin.index].answer != problems[twin.of].answer,
        }
        for twin in found
    ]
    (ctx.out / REMOVED_FILE).write_text(json.dumps(listed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    ctx.events.progress(len(rows), len(rows), "problems", removed=len(removed))
