"""A built `evaluate` stage for those who take it elsewhere: what was asked, what was answered, and what made it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.problems import Problem
from astro_factory.core.results import Result
from astro_factory.core.tables import read_table
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.metrics import Samples
from astro_factory.evaluation.report import Table, by_problem

Asked = tuple[str, str]
"""Names of a problem's source and of the problem."""


@dataclass(frozen=True)
class Evaluation:
    """The folders are only read."""

    spec: str
    """The spec's name."""
    stage: str
    result: Result
    comparison: Comparison
    """The stage's configuration."""
    folder: Path
    """Holds `samples.parquet` and `report.json`."""
    inputs: Mapping[str, Path]
    """Folders of the problem sources and, where they were asked for, of the arms' models."""

    @cached_property
    def problems(self) -> dict[Asked, Problem]:
        """Every problem of the suite, in its order."""
        found = {}
        for source in self.comparison.suite.problems:
            for row in read_table(self.inputs[source] / TABLE_FILES[ArtifactType.PROBLEMS]):
                found[source, row["id"]] = Problem.from_row(row)
        return found

    def answers(self, arm: str) -> dict[Asked, Samples]:
        """The samples on which the arm is reported, in the order of the problems."""
        kept = self.comparison.suite.samples
        table = {_asked(arms[arm]): arms[arm][:kept] for arms in self._table}
        return {asked: table[asked] for asked in self.problems}

    @cached_property
    def report(self) -> dict[str, Any]:
        """The content of `report.json`."""
        return json.loads((self.folder / "report.json").read_text(encoding="utf-8"))

    @cached_property
    def _table(self) -> Table:
        return by_problem(read_table(self.folder / "samples.parquet"))


def _asked(samples: Samples) -> Asked:
    return samples[0]["source"], samples[0]["problem"]
