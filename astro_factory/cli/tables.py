"""How a plan looks: a line a stage, and of a sweep a line for all variants of a stage."""

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from astro_factory.core.results import Plan, PlannedNode, Status


def plan_as_json(planned: Plan) -> dict[str, Any]:
    """The plan for machines: every node, and how a sweep shares them."""
    found: dict[str, Any] = {"stages": [item.as_json() for item in planned.nodes.values()], "counts": planned.counts()}
    return found | ({"sweep": _sharing(planned)} if planned.graph.variants else {})


def print_plan(planned: Plan) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("stage", "kind", "status", "reason"):
        table.add_column(title, overflow="fold" if title == "reason" else "ellipsis")
    for name, items in _rows(planned).items():
        table.add_row(*map(Text, (name, items[0].node.kind, _status(items), _reason(items))))
    console = Console()
    console.print(table)
    console.print(", ".join(f"{count} {status}" for status, count in planned.counts().items() if count), style="bold")
    if planned.graph.variants:
        found = _sharing(planned)
        console.print(
            f"{found['variants']} variants x {found['stages']} stages = {found['distinct']} distinct, "
            f"of them {found['shared']} shared by all",
            highlight=False,
        )


def _rows(planned: Plan) -> dict[str, list[PlannedNode]]:
    """The nodes of a line: one, or the variants of a stage."""
    rows: dict[str, list[PlannedNode]] = {}
    for name, item in planned.nodes.items():
        rows.setdefault(name.partition("[")[0], []).append(item)
    return {
        items[0].node.name if len(items) == 1 else f"{name}[{len(items)} variants]": items
        for name, items in rows.items()
    }


def _status(items: list[PlannedNode]) -> str:
    counts = Counter(str(item.status) for item in items)
    if len(items) == 1:
        return str(items[0].status)
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def _reason(items: list[PlannedNode]) -> str:
    """The reason of a node, or of the first variant that has the most frequent status."""
    if len(items) == 1:
        return items[0].reason
    (status, _), *_ = Counter(item.status for item in items).most_common(1)
    first = next(item for item in items if item.status is status)
    if status is Status.PENDING:
        return f"waits for {', '.join(first.node.reads)}" if first.node.reads else first.reason
    return f"{first.node.name}: {first.reason}"


def _sharing(planned: Plan) -> dict[str, int]:
    """How many stages the variants have, and how many there are to make."""
    variants = planned.graph.variants
    uses = Counter(node for variant in variants for node in variant.nodes.values())
    return {
        "variants": len(variants),
        "stages": max(len(variant.nodes) for variant in variants),
        "distinct": len(uses),
        "shared": sum(count == len(variants) for count in uses.values()),
    }
