"""Why a stage would run: its record compared with the nearest one in the store, field by field."""

from collections.abc import Mapping
from dataclasses import dataclass

from astro_factory.core.differences import leaves
from astro_factory.core.graph import GraphNode
from astro_factory.core.plans import Change, Hit, Import, Pending, Plan, PlannedNode, ToRun, node_as_json
from astro_factory.core.results import Record, Result
from astro_factory.plan.changes import changes
from astro_factory.plan.planner import Resolver
from astro_factory.store import Store


@dataclass(frozen=True, slots=True)
class Explanation:
    """The state of a stage, and the difference of its record from an earlier one."""

    planned: PlannedNode
    against: str
    """Which record it is compared with: `the last build`, `the nearest search in the store`; empty if there is none."""
    previous: Result | None
    changes: tuple[Change, ...]
    waits: tuple[str, ...]
    """The inputs that must run first: without their content the stage has no key."""

    def as_json(self) -> dict[str, object]:
        return node_as_json(self.planned) | {
            "against": self.against or None,
            "against_key": self.previous.key if self.previous else None,
            "changes": [change.as_json() for change in self.changes],
            "waits": list(self.waits),
        }


def explain(plan: Plan, store: Store, commits: Mapping[str, str], name: str) -> Explanation:
    """Explain a node of a plan. For a pending node, the content of its unbuilt inputs is left out of the comparison."""
    planned = plan.nodes[name]
    node, resolver = planned.node, Resolver(plan.graph, store, commits, ())
    waits = tuple(read for read in node.references if plan.nodes[read].result is None)
    match planned:
        case ToRun():
            record = planned.record
        case Hit() | Import():
            record = planned.result.record
        case Pending():
            contents = {read: item.result.content for read, item in plan.nodes.items() if item.result}
            record = resolver.record(node, _KnownContents(contents))
    previous, against = resolver.last(node), "the last build"
    if previous is None:
        previous, against = nearest(store, node, record), f"the nearest {node.kind} in the store"
    if previous is None:
        return Explanation(planned, "", None, (), waits)
    return Explanation(planned, against, previous, tuple(changes(previous.record, record, node)), waits)


def nearest(store: Store, node: GraphNode, record: Record) -> Result | None:
    """The result of the same kind whose record differs in the fewest fields; among equals, the youngest."""
    same = [r for r in store.results() if (r.record["section"], r.record["kind"]) == (node.section, node.kind)]
    return min(same, key=lambda r: (_distance(r.record, record), _age(r)), default=None)


def _distance(old: Record, new: Record) -> int:
    return sum(1 for _ in leaves(old, new))


def _age(result: Result) -> tuple[int, ...]:
    """A sort key that puts later start times first."""
    return tuple(-ord(character) for character in str(result.provenance.get("started", "")))


class _KnownContents(dict[str, str | None]):
    """Content digests by node; None for a node that is not built."""

    def __missing__(self, name: str) -> None:
        return None
