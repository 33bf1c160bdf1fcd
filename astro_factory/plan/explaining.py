"""Why a stage would run: its record beside the nearest one in the store, field by field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astro_factory.core.graph import GraphNode
from astro_factory.core.results import Change, Plan, PlannedNode, Result
from astro_factory.plan.changes import changes, leaves
from astro_factory.plan.planner import Resolver
from astro_factory.store import Store


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is to be done about a stage, and what its record is compared with."""

    planned: PlannedNode
    against: str
    """What the other record is: `the last build`, `the nearest search in the store`; empty where there is none."""
    previous: Result | None
    changes: tuple[Change, ...]
    waits: tuple[str, ...]
    """What must run first; its content, and so the key, is not known."""

    def as_json(self) -> dict[str, Any]:
        return self.planned.as_json() | {
            "against": self.against or None,
            "against_key": self.previous.key if self.previous else None,
            "changes": [change.as_json() for change in self.changes],
            "waits": list(self.waits),
        }


def explain(plan: Plan, store: Store, commits: Mapping[str, str], name: str) -> Explanation:
    """Explain a node of a plan. Of one that waits, all but the content of what it waits for is compared."""
    planned = plan.nodes[name]
    node, resolver = planned.node, Resolver(plan.graph, store, commits, ())
    waits = tuple(read for read in node.references if plan.nodes[read].result is None)
    contents = {read: item.result.content for read, item in plan.nodes.items() if item.result}
    record = planned.record or resolver.record(node, _Unknown(contents))
    previous, against = resolver.last(node), "the last build"
    if previous is None:
        previous, against = nearest(store, node, record), f"the nearest {node.kind} in the store"
    if previous is None:
        return Explanation(planned, "", None, (), waits)
    return Explanation(planned, against, previous, tuple(changes(previous.record, record, node)), waits)


def nearest(store: Store, node: GraphNode, record: Mapping[str, Any]) -> Result | None:
    """The result of the same kind whose record differs in the fewest fields; of equal ones the youngest."""
    same = [r for r in store.results() if (r.record["section"], r.record["kind"]) == (node.section, node.kind)]
    return min(same, key=lambda r: (_distance(r.record, record), _age(r)), default=None)


def _distance(old: Mapping[str, Any], new: Mapping[str, Any]) -> int:
    return sum(1 for _ in leaves(old, new))


def _age(result: Result) -> tuple[int, ...]:
    """Later starts come first."""
    return tuple(-ord(character) for character in str(result.provenance.get("started", "")))


class _Unknown(dict):
    """Contents in which what is not known yet is None."""

    def __missing__(self, name: str) -> None:
        return None
