"""Two specs compared: which entries differ themselves, and which only because of what they read. It needs no store."""

from dataclasses import dataclass, field
from typing import Literal

from astro_factory.core.canonical import digest
from astro_factory.core.graph import Graph
from astro_factory.core.plans import Change
from astro_factory.plan.changes import changes
from astro_factory.plan.records import make_record


@dataclass(frozen=True, slots=True)
class EntryDifference:
    """An entry whose result would not be the same under both specs."""

    name: str
    kind: str
    status: Literal["changed", "moved", "only in the first", "only in the second"]
    """`changed`: it differs itself; `moved`: only what it reads differs."""
    changes: list[Change] = field(default_factory=list)
    """What differs in a changed entry, from the first spec to the second."""
    inputs: list[str] = field(default_factory=list)
    """What it reads that differs."""

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "kind": self.kind,
            "status": self.status,
            "changes": [change.as_json() for change in self.changes],
            "inputs": self.inputs,
        }


def compare(first: Graph, second: Graph) -> list[EntryDifference]:
    """The entries that differ, in the order of the graphs; equal entries share results."""
    ours, theirs = _identities(first), _identities(second)
    found: list[EntryDifference] = []
    for name, node in {**first.nodes, **second.nodes}.items():
        if name not in second.nodes or name not in first.nodes:
            only = "only in the first" if name in first.nodes else "only in the second"
            found.append(EntryDifference(name, node.kind, only))
        elif ours[name] != theirs[name]:
            new = second.nodes[name]
            contents = {read: f"of {read}" for read in (*first.nodes[name].references, *new.references)}
            records = [make_record(graph.nodes[name], contents, {}) for graph in (first, second)]
            own = changes(records[0], records[1], new)
            if first.nodes[name].kind != new.kind:  # their fields have nothing in common
                own = [change for change in own if change.name == "kind"][:1]
            inputs = [read for read in new.references if ours.get(read) != theirs.get(read)]
            found.append(EntryDifference(name, new.kind, "changed" if own else "moved", own, inputs))
    return found


def _identities(graph: Graph) -> dict[str, str]:
    """Each entry's record as a digest, with the digests of its inputs in place of their contents."""
    known: dict[str, str] = {}
    for name, node in graph.nodes.items():
        known[name] = digest(make_record(node, {read: known[read] for read in node.references}, {}))
    return known
