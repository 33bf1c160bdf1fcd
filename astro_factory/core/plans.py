"""What a plan says about each node of the graph: plain data that `plan`, `runtime` and `cli` share.

A planned node is in one of four states, each with exactly the fields that it has: `Pending`, `ToRun`, `Hit`, `Import`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from astro_factory.core.config import StageConfig
from astro_factory.core.errors import Place
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.results import Record, Result, ResultProvider


class Status(StrEnum):
    """The state of a planned node, as tables and JSON show it."""

    HIT = "hit"
    RUN = "run"
    PENDING = "pending"
    IMPORT = "import"


UNBUILT = (Status.RUN, Status.PENDING)
"""The states of nodes that have no result yet."""


class ChangeKind(StrEnum):
    """Which part of a record changed."""

    CONFIG = "config"
    TEMPLATE = "template"
    INPUT = "input"
    """The bytes of a file outside the store."""
    UPSTREAM = "upstream"
    """The content of an artifact that the stage reads."""
    CODE = "code"
    """The stage's kind, or the semantic version of its code."""
    REVISION = "revision"
    """The commit of a Hub repository."""
    ENVIRONMENT = "environment"
    """Versions and hardware, in a spec with `env: strict`."""


MISSING = object()
"""The value of a field that does not exist."""


@dataclass(frozen=True, slots=True)
class Change:
    """One leaf of a record that changed."""

    kind: ChangeKind
    name: str
    """The field, as messages show it."""
    old: object
    """`MISSING` if the field is new."""
    new: object
    """`MISSING` if the field is gone."""
    text: str
    """The change in one line."""
    place: Place | None = None
    """Where the spec sets the new value."""

    def __str__(self) -> str:
        shown = self.place and self.kind is not ChangeKind.UPSTREAM
        return f"{self.text} ({self.place})" if shown else self.text

    def as_json(self) -> dict[str, object]:
        found: dict[str, object] = {"kind": str(self.kind), "field": self.name, "text": self.text}
        found |= {name: value for name in ("old", "new") if (value := getattr(self, name)) is not MISSING}
        return found | ({"place": str(self.place)} if self.place else {})


@dataclass(frozen=True, slots=True)
class Pending:
    """A node without a key: an input has no content yet, or a Hub revision is not resolved."""

    status: ClassVar = Status.PENDING
    key: ClassVar[None] = None
    result: ClassVar[None] = None
    changes: ClassVar[tuple[Change, ...]] = ()
    node: GraphNode
    reason: str
    """Why the node is in this state, for the user; each state has it."""


@dataclass(frozen=True, slots=True)
class ToRun:
    """A node whose key has no usable result."""

    status: ClassVar = Status.RUN
    result: ClassVar[None] = None
    node: GraphNode
    reason: str
    key: str
    record: Record
    config: StageConfig
    """The config to run with; a Hub revision is pinned here."""
    lineage: str
    """Equal for runs that can continue each other's checkpoints, see `plan.records.lineage`; empty if none can."""
    changes: tuple[Change, ...] = ()
    """What changed since its last run."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A node whose result is in the store."""

    status: ClassVar = Status.HIT
    changes: ClassVar[tuple[Change, ...]] = ()
    node: GraphNode
    reason: str
    result: Result

    @property
    def key(self) -> str:
        return self.result.key


@dataclass(frozen=True, slots=True)
class Import:
    """A node whose result a store export or a cache offers."""

    status: ClassVar = Status.IMPORT
    changes: ClassVar[tuple[Change, ...]] = ()
    node: GraphNode
    reason: str
    result: Result
    provider: ResultProvider
    with_files: bool = True
    """Whether to copy the output files too or, if no stage reads them, only the result."""

    @property
    def key(self) -> str:
        return self.result.key


PlannedNode = Pending | ToRun | Hit | Import
Executable = ToRun | Import
"""The states that need work in a build."""


def node_as_json(item: PlannedNode) -> dict[str, object]:
    """A planned node as `plan --json` shows it."""
    return {
        "name": item.node.name,
        "section": item.node.section,
        "kind": item.node.kind,
        "key": item.key,
        "status": str(item.status),
        "reason": item.reason,
        "changes": [change.as_json() for change in item.changes],
        "needs": list(item.node.references),
    }


Resolve = Callable[[GraphNode, Mapping[str, str]], PlannedNode]
"""Finds the state of a node, given the content digest of each node that it reads."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The state of every node of a build, in topological order."""

    graph: Graph
    nodes: Mapping[str, PlannedNode]
    resolve: Resolve

    def counts(self) -> dict[str, int]:
        return {str(status): sum(p.status is status for p in self.nodes.values()) for status in Status}
