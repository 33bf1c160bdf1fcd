"""A built `evaluate` stage, for export to other tools: its problems, its samples and where they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.chat_templates import Message
from astro_factory.core.problems import Problem
from astro_factory.core.results import Result
from astro_factory.core.tables import read_table
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.metrics import Samples
from astro_factory.evaluation.report import Table, by_problem
from astro_factory.evaluation.report_schema import Report

ProblemKey = tuple[str, str]
"""Name of a problem's source and the problem's id."""


@dataclass(frozen=True)
class Evaluation:
    """Reads the stage's folders and never writes to them."""

    spec: str
    """Name of the spec."""
    stage: str
    result: Result
    comparison: Comparison
    """Configuration of the stage."""
    folder: Path
    """Output folder with `samples.parquet` and `report.json`."""
    inputs: Mapping[str, Path]
    """Folders of the problem sources and, if requested, of the arms' models."""
    examples: Sequence[Message] = ()
    """Worked examples in front of every question."""

    @cached_property
    def problems(self) -> dict[ProblemKey, Problem]:
        """Every problem of the suite, in its order."""
        found = {}
        for source in self.comparison.suite.problems:
            for row in read_table(self.inputs[source] / TABLE_FILES[ArtifactType.PROBLEMS]):
                found[source, row["id"]] = Problem.from_row(row)
        return found

    def samples_of(self, arm: str) -> dict[ProblemKey, Samples]:
        """The samples on which the arm is reported, in the order of the problems."""
        count = self.comparison.suite.samples
        table = {_key(arms[arm]): arms[arm][:count] for arms in self._table}
        return {key: table[key] for key in self.problems}

    @cached_property
    def report(self) -> Report:
        return Report.read(self.folder)

    @cached_property
    def _table(self) -> Table:
        return by_problem(read_table(self.folder / "samples.parquet"))


def _key(samples: Samples) -> ProblemKey:
    return samples[0]["source"], samples[0]["problem"]
