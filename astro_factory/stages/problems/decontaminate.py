"""Training problems without those of a benchmark: equal ones, and ones that share a long run of words with one.

The benchmarks count by content, so their digests are in this stage's record. The overlaps are part of the output: a
published dataset shows which benchmarks it was compared with.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import NamedProblemsRef, ProblemsRef, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.problems.overlap import RunIndex, Words, telling, words_of
from astro_factory.stages.problems.own_verifier import schema_like

OUTPUT = ArtifactType.PROBLEMS
VERSION = 1
HEAVY = False

OVERLAPS_FILE = "overlaps.json"
"""Every problem that a benchmark shares words with, how much, and whether it was removed."""
_LENGTHS = {"13-gram": 13, "8-gram": 8}
_KINDS = ("exact", *_LENGTHS)
"""From the strongest sign of contamination to the weakest."""


class Config(StageConfig):
    kind: Literal["decontaminate"]
    problems: ProblemsRef
    """The problems to filter."""
    against: list[NamedProblemsRef] = Field(min_length=1)
    """The benchmarks: problem sources, as a suite names them."""
    remove: Literal["exact", "13-gram", "8-gram"] = "13-gram"
    """What is removed: problems with the same words, or also those that share a run of 13 or 8 words with a benchmark.
    Single letters, and runs that occur in three problems of the benchmark, do not count. Weaker overlaps are listed and
    kept."""


def estimate(config: Config, rows: Rows) -> Workload:
    count = rows.get(config.problems)
    return Workload("problems", count, rows=count)


class Benchmark:
    """A problem source used in evaluations, indexed by its words."""

    def __init__(self, name: str, problems: Sequence[Problem]):
        self.name = name
        self._ids = [problem.id for problem in problems]
        questions = words_of([problem.question for problem in problems])
        self._exact = {words: index for index, words in reversed(list(enumerate(questions))) if words}
        self._runs = {kind: RunIndex(map(telling, questions), length) for kind, length in _LENGTHS.items()}

    def overlap(self, words: Words) -> dict[str, str] | None:
        """The strongest overlap with one of its problems; None if there is none."""
        if (index := self._exact.get(words)) is not None:
            return {"benchmark": self.name, "problem": self._ids[index], "overlap": "exact", "words": " ".join(words)}
        for kind, index in self._runs.items():
            if found := index.find(telling(words)):
                number, shared = found
                return {"benchmark": self.name, "problem": self._ids[number], "overlap": kind, "words": shared}
        return None


def run(ctx: StageContext, config: Config) -> None:
    """Raises `UserError` E434 if nothing is left."""
    rows, problems = _read(ctx, config.problems)
    benchmarks = [Benchmark(name, _read(ctx, name)[1]) for name in config.against]
    overlaps = list(_overlaps(problems, benchmarks, config))
    removed = {entry["id"] for entry in overlaps if entry["removed"]}
    left = [row for row in rows if row["id"] not in removed]
    if not left:
        cause = f"every problem overlaps with one of {', '.join(config.against)}"
        raise UserError.of("E434", cause, "use other problems, or set 'remove' to 'exact'")
    write_table(ctx.out / TABLE_FILES[OUTPUT], left, schema_like(ctx.inputs[config.problems] / TABLE_FILES[OUTPUT]))
    (ctx.out / OVERLAPS_FILE).write_text(json.dumps(overlaps, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    ctx.events.progress(len(rows), len(rows), "problems", removed=len(removed))


def _read(ctx: StageContext, name: str) -> tuple[list[dict[str, Any]], list[Problem]]:
    rows = read_table(ctx.inputs[name] / TABLE_FILES[ArtifactType.PROBLEMS])
    return rows, [Problem.from_row(row) for row in rows]


def _overlaps(problems: Sequence[Problem], benchmarks: Sequence[Benchmark], config: Config) -> Iterator[dict[str, Any]]:
    removing = _KINDS[: _KINDS.index(config.remove) + 1]
    for problem, words in zip(problems, words_of([problem.question for problem in problems]), strict=True):
        for benchmark in benchmarks:
            if found := benchmark.overlap(words):
                yield {"id": problem.id, **found, "removed": found["overlap"] in removing}
