"""The package from Python: the names of the command line, for notebooks and scripts.

    import astro_factory

    spec = astro_factory.load("specs/quickstart.yaml", set={"params.seed": 1})
    spec.plan()                                # a table
    spec.build(["traces"])
    spec["traces"].rows("backtracks>2")        # as `show --filter`
    spec["traces"].pandas()
    spec["report"].arms["astro_rl"]

Nothing here loads torch; `build` runs stages that need it in processes of their own.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.errors import UserError, near
from astro_factory.core.graph import Graph
from astro_factory.core.plans import Plan
from astro_factory.core.problems import Problem
from astro_factory.core.trees import read_trees
from astro_factory.report import BuiltSpec, BuiltStage, built_spec
from astro_factory.report.filters import Row, parse_filter
from astro_factory.report.html_views import TraceView, TreeView, html_table
from astro_factory.report.rows import filter_rows, row_keys
from astro_factory.report.summaries import summary_of
from astro_factory.spec import compile_spec
from astro_factory.store import Store
from astro_factory.store.store import open_store

if TYPE_CHECKING:
    from datasets import Dataset
    from pandas import DataFrame
    from pyarrow import Table

    from astro_factory.core.errors import Diagnostic
    from astro_factory.evaluation.report_schema import Report
    from astro_factory.runtime import Build
    from astro_factory.runtime.events import BuildEvent


def load(
    path: str | Path,
    *,
    set: Mapping[str, object] | None = None,
    profile: str | None = None,
    sweep: str | None = None,
    store: str | Path | None = None,
) -> "Spec":
    """Read and check a spec.

    Args:
        set: overrides, as `--set`: dotted path to value.
        store: the store's folder; by default `$ASTRO_STORE`, else `.astro`.

    Raises:
        UserError: with everything that is wrong in the spec.
    """
    sets = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in (set or {}).items()]
    graph = compile_spec(Path(path), sets=sets, profile=profile, sweep=sweep)
    return Spec(graph, Path(path), open_store(Path(store or os.environ.get("ASTRO_STORE") or ".astro").absolute()))


@dataclass(frozen=True)
class Spec:
    """A checked spec and the store that its outputs are in; `spec["traces"]` is the output of a stage."""

    graph: Graph
    path: Path
    store: Store

    def check(self) -> "tuple[Diagnostic, ...]":
        """The warnings; errors were raised by `load`."""
        return self.graph.warnings

    @property
    def stages(self) -> list[str]:
        """Names of all stages, models and problem sets, in the order of a build."""
        return list(self.graph.nodes)

    def plan(self, stages: Sequence[str] | None = None) -> "PlanTable":
        """What a build would do, with the revisions of the lock file. Nothing is asked of the network."""
        return PlanTable(self._plan(stages))

    def build(
        self,
        stages: Sequence[str] | None = None,
        *,
        jobs: int | None = None,
        trust: bool = False,
        on_event: "Callable[[str, BuildEvent], None] | None" = None,
    ) -> "Build":
        """Run what is missing of some stages and what they need; by default of all but publications.

        Args:
            jobs: cores (or GPUs) to use; by default all.
            trust: whether to run code that a pulled publication names.
            on_event: called with a stage's name and an event of `runtime.events`.

        Raises:
            UserError: E168 with the causes if a stage failed.
        """
        from astro_factory.plan.building import build_graph
        from astro_factory.runtime import BuildOptions

        for name in stages or ():
            self._known(name)
        local = [name for name in self.graph.wanted() if self.graph.nodes[name].section != "publish"]
        watch = on_event or (lambda name, event: None)
        done = build_graph(
            self.graph, self.store, BuildOptions(jobs=jobs, trust=trust), lambda *_: nullcontext(watch), stages or local
        ).build
        if not done.ok:
            causes = "; ".join(f"{name}: {cause}" for name, cause in done.failures.items())
            raise UserError.of("E168", f"a stage failed: {causes}", "fix the cause and build again: the rest is kept")
        return done

    def __getitem__(self, stage: str) -> "Output":
        """The output of a stage. Raises `UserError` E151 for an unknown stage, E152 for one that is not built."""
        self._known(stage)
        built = self._built(stage)
        if stage not in built.stages:
            remedy = f"run spec.build(['{stage}']), or `astro-factory build {self.path} {stage}`"
            raise UserError.of("E152", f"'{stage}' is not built in this store", remedy)
        return Output(built.stages[stage], built)

    def report(self, path: str | Path, stages: Sequence[str] | None = None, folder: bool = False) -> Path:
        """Write the HTML report of what is built: a file or, with `folder`, a folder that leaves nothing out."""
        from astro_factory.report.folder import write_folder
        from astro_factory.report.page import write_report

        built = built_spec(self._plan(stages), self.store)
        if folder:
            write_folder(built, Path(path))
        else:
            write_report(built, Path(path))
        return Path(path)

    def _built(self, stage: str) -> BuiltSpec:
        return built_spec(self._plan([stage]), self.store)

    def _plan(self, stages: Sequence[str] | None) -> Plan:
        from astro_factory.plan import make_plan
        from astro_factory.plan.locks import locked_commits

        for name in stages or ():
            self._known(name)
        return make_plan(
            self.graph, self.store, targets=list(stages) if stages else None, commits=locked_commits(self.graph)
        )

    def _known(self, stage: str) -> None:
        if stage not in self.graph.nodes:
            raise UserError.of("E151", f"'{self.path}' has no stage '{stage}'", near(stage, self.graph.nodes))

    def _ipython_key_completions_(self) -> list[str]:
        return self.stages

    def __repr__(self) -> str:
        return f"<spec {self.graph.name}: {len(self.graph.nodes)} stages, {self.path}>"


@dataclass(frozen=True)
class PlanTable:
    """A plan as a table: `nodes` by name, a row for each in notebooks."""

    plan: Plan

    @property
    def counts(self) -> dict[str, int]:
        """How many stages are hits, to run, pending or imports."""
        return self.plan.counts()

    @property
    def rows(self) -> list[dict[str, str]]:
        """Stage, kind, status and reason of each node."""
        return [
            {"stage": name, "kind": item.node.kind, "status": str(item.status), "reason": item.reason}
            for name, item in self.plan.nodes.items()
        ]

    def __repr__(self) -> str:
        return "\n".join(f"{r['stage']:<16} {r['kind']:<12} {r['status']:<8} {r['reason']}" for r in self.rows)

    def _repr_html_(self) -> str:
        return html_table(self.rows)


@dataclass(frozen=True)
class Output:
    """The output of a built stage."""

    stage: BuiltStage
    spec: BuiltSpec

    @property
    def path(self) -> Path:
        """A folder that shows the output under its own file names; read-only."""
        return self.stage.folder

    @property
    def key(self) -> str:
        return self.stage.result.key

    @property
    def kind(self) -> str:
        return self.stage.node.kind

    @property
    def provenance(self) -> Mapping[str, object]:
        """Versions, hardware, times and cost of the run."""
        return self.stage.result.provenance

    @property
    def summary(self) -> Mapping[str, object]:
        """The figures that `show` prints."""
        return summary_of(self.stage).facts

    @property
    def curve(self) -> list[dict[str, object]]:
        """The points of the training curves, a dict for each step."""
        return self.stage.curve

    def table(self) -> "Table":
        """The rows as a `pyarrow.Table`."""
        return self.stage.table()

    def pandas(self) -> "DataFrame":
        """The rows as a data frame."""
        return self.table().to_pandas()

    def dataset(self) -> "Dataset":
        """The rows as a `datasets.Dataset`, memory-mapped."""
        from datasets import Dataset

        if self.stage.table_file is None:
            raise FileNotFoundError(f"the output of '{self.stage.name}' holds no table")
        return Dataset.from_parquet(str(self.stage.table_file))

    def rows(self, conditions: str = "") -> list[Row]:
        """The rows that meet a filter, as `show --filter`. Raises `UserError` E165, E167."""
        return filter_rows(self.stage, parse_filter(conditions, row_keys(self.stage)))

    def trees(self) -> Iterator[TreeView]:
        """The search trees of a search stage; each draws itself in a notebook."""
        self._must_make(ArtifactType.TREES)
        return map(TreeView, read_trees(self.path / TABLE_FILES[ArtifactType.TREES]))

    def traces(self) -> Iterator[TraceView]:
        """The traces of a linearize stage; each shows its segments in colour in a notebook."""
        self._must_make(ArtifactType.TRACES)
        return (TraceView.from_row(row) for batch in self.table().to_batches() for row in batch.to_pylist())

    def problems(self) -> list[Problem]:
        """The problems of a problem set."""
        self._must_make(ArtifactType.PROBLEMS)
        return [Problem.from_row(row) for row in self.table().to_pylist()]

    @property
    def report(self) -> "Report":
        """The report of an evaluate stage."""
        from astro_factory.evaluation.report_schema import Report

        self._must_make(ArtifactType.REPORT)
        return Report.read(self.path)

    @property
    def arms(self) -> Mapping[str, Mapping[str, object]]:
        """Arm to metric to its value with its interval."""
        return self.report.model_dump()["arms"]

    def _must_make(self, wanted: ArtifactType) -> None:
        if self.stage.node.output is not wanted:
            cause = f"'{self.stage.name}' makes {self.stage.node.output}, not {wanted}"
            raise UserError.of("E167", cause, f"name a stage that makes {wanted}")

    def __repr__(self) -> str:
        return f"<{self.stage.name} ({self.kind}): {self.path}>"

    def _repr_html_(self) -> str:
        return html_table([{"": name, "value": str(value)} for name, value in self.summary.items()])
