"""The stages of a spec whose outputs are in the store: what every view reads."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.plans import Plan, PlannedNode
from astro_factory.core.results import Result
from astro_factory.core.step_format import StepFormat
from astro_factory.core.trees import step_format_of
from astro_factory.store import Store

if TYPE_CHECKING:
    from pyarrow import Table

Section = dict[str, Any]
"""A part of the data of a report, as JSON."""
SAMPLES_FILE = "samples.parquet"


@dataclass(frozen=True)
class BuiltStage:
    """One stage with its output."""

    node: GraphNode
    result: Result
    folder: Path
    """Shows the output under its own file names."""

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def table_file(self) -> Path | None:
        """The Parquet file that holds the rows of the output, for kinds that make rows."""
        name = SAMPLES_FILE if self.node.output is ArtifactType.REPORT else TABLE_FILES.get(self.node.output)
        return self.folder / name if name and name in self.result.outputs else None

    def table(self, columns: Collection[str] | None = None) -> "Table":
        """The rows, or some of their columns. Raises FileNotFoundError where the output has no table."""
        import pyarrow.parquet as pq

        if self.table_file is None:
            raise FileNotFoundError(f"the output of '{self.name}' holds no table")
        return pq.ParquetFile(self.table_file).read(columns=list(columns) if columns else None)

    def json(self, name: str) -> Section:
        """The content of a JSON file of the output; empty where there is no such file."""
        return json.loads((self.folder / name).read_text(encoding="utf-8")) if name in self.result.outputs else {}

    @property
    def curve(self) -> list[Section]:
        """The points of its training curves."""
        return [point for point in self._points() if "rollouts" not in point]

    @property
    def rollouts(self) -> list[Section]:
        """Some responses of some steps of reinforcement learning: `step` and `rollouts`."""
        return [point for point in self._points() if "rollouts" in point]

    def _points(self) -> list[Section]:
        return [dict(point) for point in self.result.provenance.get("metrics", ())]


@dataclass(frozen=True)
class BuiltSpec:
    """A planned spec with the outputs that the store holds."""

    graph: Graph
    planned: Mapping[str, PlannedNode]
    """Every node that the chosen stages need."""
    stages: Mapping[str, BuiltStage]
    """Those of them that are built, in the order of the graph."""

    def of_type(self, *types: ArtifactType) -> list[BuiltStage]:
        return [stage for stage in self.stages.values() if stage.node.output in types]

    def steps_of(self, stage: str) -> StepFormat | None:
        """What a step of a stage's texts is: what its entry says, else the format of the trees that it rests on.

        None means lines, also where the trees have different formats.
        """
        if isinstance(own := getattr(self.graph.nodes[stage].config, "response_steps", None), StepFormat):
            return own
        names, pending = set(), [stage]
        while pending:
            name = pending.pop()
            if name not in names and name in self.graph.nodes:
                names.add(name)
                pending += self.graph.nodes[name].references
        trees = [tree for tree in self.of_type(ArtifactType.TREES) if tree.name in names]
        formats = [step_format_of(tree.folder / TABLE_FILES[ArtifactType.TREES]) for tree in trees]
        return formats[0] if formats and all(found == formats[0] for found in formats) else None


def built_spec(plan: Plan, store: Store) -> BuiltSpec:
    """What of a plan the store holds with all files."""
    found = {}
    for name, item in plan.nodes.items():
        if item.result is not None and store.has_blobs(item.result):
            found[name] = BuiltStage(item.node, item.result, store.output(item.result))
    return BuiltSpec(plan.graph, plan.nodes, found)
