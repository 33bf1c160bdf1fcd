"""What a stage run gave, and what a plan says of a node: plain data that `plan`, `runtime` and `store` share."""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from astro_factory.core.canonical import digest
from astro_factory.core.config import StageConfig
from astro_factory.core.errors import Place, UserError
from astro_factory.core.graph import Graph, GraphNode

_DIGEST = re.compile(r"[0-9a-f]{64}")
_UNSEALED = "0" * 64


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
        """The result as a file; its first entry, `digest`, is that of the file with zeros in the digest's place."""
        fields = {"key": self.key, "record": self.record, "outputs": self.outputs, "provenance": self.provenance}
        data = json.dumps({"digest": _UNSEALED, **fields}, indent=1, sort_keys=True, ensure_ascii=False).encode()
        return data.replace(_UNSEALED.encode(), _seal_of(data, _UNSEALED).encode(), 1)

    @classmethod
    def from_json(cls, data: bytes) -> "Result":
        """Raises ValueError for what is torn or was changed, for what its key does not say, and for foreign paths."""
        try:
            fields = json.loads(data)
            seal = fields.pop("digest", None)  # files of early exports have none
            result = cls(**fields)
            sound = all(
                is_inside(name) and is_digest(entry["sha256"]) and isinstance(entry["size"], int)
                for name, entry in result.outputs.items()
            )
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"not a result: {error}") from None
        if digest(result.record) != result.key:
            raise ValueError("the record is not that of the key")
        if not sound:
            raise ValueError("it names a file outside its folder, or one without a digest")
        if seal is not None and not (is_digest(seal) and _seal_of(data, seal) == seal):
            raise ValueError("it is not as it was written")
        return result


def _seal_of(data: bytes, seal: str) -> str:
    return hashlib.sha256(data.replace(seal.encode(), _UNSEALED.encode(), 1)).hexdigest()


def is_digest(text: Any) -> bool:
    """Whether this is a SHA-256 as the store writes it."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def is_inside(path: str) -> bool:
    """Whether a relative path, as others wrote it, stays inside its folder and is written the one way."""
    pure = PurePosixPath(path)
    plain = bool(path) and "\\" not in path and "\0" not in path and str(pure) == path
    return plain and not pure.is_absolute() and ".." not in pure.parts


class ResultProvider(ABC):
    """A place outside the store that offers results: a store export, a cache."""

    name: str
    """How messages call it."""

    @abstractmethod
    def result(self, key: str) -> Result | None:
        """What it offers for a key, with or without the files."""

    @abstractmethod
    def has_blobs(self, result: Result) -> bool:
        """Whether it holds every file of a result."""

    @abstractmethod
    def fetch(self, sha256: str, path: Path) -> None:
        """Write a blob to a new file. The taker checks the bytes. Raises `UserError` if it cannot be had."""

    def damaged(self, sha256: str) -> UserError:
        """The error for a blob that came with other bytes."""
        return UserError.of("E174", f"blob {sha256[:12]} of {self.name} does not match its digest", "do without it")


class Status(StrEnum):
    """What a plan says of a node."""

    HIT = "hit"
    RUN = "run"
    PENDING = "pending"
    """Something upstream must run first; only then has it a key."""
    IMPORT = "import"


UNBUILT = (Status.RUN, Status.PENDING)
"""What is still to be made."""


class ChangeKind(StrEnum):
    """What sort of thing moved in a record."""

    CONFIG = "config"
    TEMPLATE = "template"
    INPUT = "input"
    """The bytes of a file outside the store."""
    UPSTREAM = "upstream"
    """The content of an artifact that the stage reads."""
    CODE = "code"
    """The semantic version of the stage's code, or which kind it is."""
    REVISION = "revision"
    """The commit of a Hub repository."""
    ENVIRONMENT = "environment"
    """Versions and hardware, where they count (`env: strict`)."""


@dataclass(frozen=True, slots=True)
class Change:
    """One leaf of a record that moved."""

    kind: ChangeKind
    name: str
    """The field, as a message shows it."""
    old: Any
    """`MISSING` where there was none."""
    new: Any
    text: str
    """What moved, in a line."""
    place: Place | None = None
    """Where the spec gives the new value."""

    def __str__(self) -> str:
        shown = self.place and self.kind is not ChangeKind.UPSTREAM
        return f"{self.text} ({self.place})" if shown else self.text

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"kind": str(self.kind), "field": self.name, "text": self.text}
        found |= {name: value for name in ("old", "new") if (value := getattr(self, name)) is not MISSING}
        return found | ({"place": str(self.place)} if self.place else {})


MISSING = object()
"""Stands for the value of a field that is not there."""


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node with what is to be done about it."""

    node: GraphNode
    status: Status
    reason: str
    key: str | None = None
    record: Mapping[str, Any] | None = None
    result: Result | None = None
    """Of a hit or an import."""
    provider: ResultProvider | None = None
    """Of an import: where it comes from."""
    whole: bool = True
    """Of an import: whether its files come too, or the result alone, since nobody reads them."""
    config: StageConfig | None = None
    """The config to run with: a Hub revision is pinned here."""
    changes: tuple[Change, ...] = ()
    """Of one that must run: what moved since its last run."""

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.node.name,
            "section": self.node.section,
            "kind": self.node.kind,
            "key": self.key,
            "status": str(self.status),
            "reason": self.reason,
            "changes": [change.as_json() for change in self.changes],
            "needs": list(self.node.references),
        }


Resolve = Callable[[GraphNode, Mapping[str, str]], PlannedNode]
"""Gives a node its record, key and result, once the content digests of what it reads are known."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every node of a build, in an order in which each stands after what it reads."""

    graph: Graph
    nodes: Mapping[str, PlannedNode]
    resolve: Resolve

    def counts(self) -> dict[str, int]:
        return {str(status): sum(p.status is status for p in self.nodes.values()) for status in Status}
