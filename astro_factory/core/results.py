"""What a stage run gave, and what a plan says of a node: plain data that `plan`, `runtime` and `store` share."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from astro_factory.core.canonical import digest
from astro_factory.core.config import StageConfig
from astro_factory.core.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class Result:
    """What one stage run gave."""

    key: str
    record: Mapping[str, Any]
    outputs: Mapping[str, Mapping[str, Any]]
    """File name to `{"sha256", "size"}`."""
    provenance: Mapping[str, Any]
    """Versions, hardware, times, cost: what may differ between two runs of one record."""

    @property
    def content(self) -> str:
        """Digest of the output's content: what followers have in their records."""
        return digest({name: entry["sha256"] for name, entry in self.outputs.items()})

    def as_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Result":
        """Raises ValueError for what is torn, or not what its key says."""
        try:
            result = cls(**json.loads(data))
        except TypeError as error:
            raise ValueError(f"not a result: {error}") from None
        if digest(result.record) != result.key:
            raise ValueError("the record is not that of the key")
        return result


class Status(StrEnum):
    """What a plan says of a node."""

    HIT = "hit"
    RUN = "run"
    PENDING = "pending"
    """Something upstream must run first; only then has it a key."""
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node with what is to be done about it."""

    node: Node
    status: Status
    reason: str
    key: str | None = None
    record: Mapping[str, Any] | None = None
    result: Result | None = None
    """Of a hit or an import."""
    export: Path | None = None
    """Of an import: the file it comes from."""
    config: StageConfig | None = None
    """The config to run with: a Hub revision is pinned here."""

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.node.name,
            "section": self.node.section,
            "kind": self.node.kind,
            "key": self.key,
            "status": str(self.status),
            "reason": self.reason,
            "needs": list(self.node.references),
        }


Resolve = Callable[[Node, Mapping[str, str]], PlannedNode]
"""Gives a node its record, key and result, once the content digests of what it reads are known."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every node of a build, in an order in which each stands after what it reads."""

    graph: Graph
    nodes: Mapping[str, PlannedNode]
    resolve: Resolve

    def counts(self) -> dict[str, int]:
        return {str(status): sum(p.status is status for p in self.nodes.values()) for status in Status}
