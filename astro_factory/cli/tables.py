"""Prints a plan with one line per stage; in a sweep, one line for all variants of a stage."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from astro_factory.core.plans import UNBUILT, Plan, PlannedNode, Status, node_as_json
from astro_factory.core.workload import Range
from astro_factory.plan.estimates import AT_MOST, Estimate, totals
from astro_factory.plan.moved import MovedKind
from astro_factory.plan.predictions import NO_PREDICTION, Prediction
from astro_factory.plan.wall_time import WallTime

_CHAIN = 6
"""Most stages of the longest chain that are named."""


def plan_as_json(
    planned: Plan,
    expected: Mapping[str, Estimate],
    needed: Mapping[str, Prediction],
    wall: WallTime | None,
    moved: Sequence[MovedKind],
) -> dict[str, Any]:
    """The plan as JSON: every node with its estimate, the totals, and how much a sweep shares."""
    stages = [
        node_as_json(item)
        | {"estimate": expected[name].as_json() if name in expected else None}
        | (needed[name].as_json() if name in needed else NO_PREDICTION)
        for name, item in planned.nodes.items()
    ]
    found: dict[str, Any] = {"stages": stages, "counts": planned.counts(), "estimate": totals(expected)}
    found |= {"wall_time": wall and wall.as_json(), "moved": [kind.as_json() for kind in moved]}
    return found | ({"sweep": _sharing(planned)} if planned.graph.variants else {})


def print_plan(
    planned: Plan,
    expected: Mapping[str, Estimate],
    wall: WallTime | None = None,
    moved: Sequence[MovedKind] = (),
    *,
    every_change: bool = False,
) -> None:
    table = Table(box=None, pad_edge=False)
    titles = ("stage", "kind", "status", "reason", "about") if expected else ("stage", "kind", "status", "reason")
    for title in titles:
        table.add_column(title, overflow="fold" if title in ("reason", "about") else "ellipsis")
    for name, items in _rows(planned).items():
        estimates = [expected[item.node.name] for item in items if item.node.name in expected]
        cells = (name, items[0].node.kind, _status(items), _reason(planned, items), takes(estimates))
        table.add_row(*map(Text, cells[: len(titles)]))
    console = Console()
    console.print(table)
    console.print(", ".join(f"{count} {status}" for status, count in planned.counts().items() if count), style="bold")
    if expected:
        console.print(f"to run or pending: {_total(totals(expected))}", highlight=False)
    if wall:
        console.print(_wall(wall), highlight=False, soft_wrap=True)
    for kind in moved:
        console.print(_moved(kind), highlight=False, soft_wrap=True)
    if every_change:
        _print_changes(planned)
    if planned.graph.variants:
        found = _sharing(planned)
        console.print(
            f"{found['variants']} variants x {found['stages']} stages = {found['distinct']} distinct, "
            f"of them {found['shared']} shared by all",
            highlight=False,
        )


def _wall(found: WallTime) -> str:
    """The wall time, its longest chain and how much runs side by side, in a line."""
    gpus = f", {found.gpus:,.0f} GPUs" if found.gpus else ""
    least = "at least " if found.unknown else ""
    text = f"wall time: {least}{_span(found.seconds)} here ({found.cores:,.0f} cores{gpus})"
    shown = found.chain if len(found.chain) <= _CHAIN else (*found.chain[: _CHAIN - 1], "...", found.chain[-1])
    return f"{text}; longest chain {_span(found.chain_seconds)} ({' -> '.join(shown)}), {found.parallelism:.1f} at once"


def _moved(found: MovedKind) -> str:
    """Which stages a new version moves, what remaking them costs, and what keeps the earlier results."""
    count = len(found.stages)
    subject = f"{count} stages move" if count > 1 else f"{found.stages[0]} moves"
    costs = [time_of(seconds, processor) for processor, seconds in found.seconds.items()]
    costs += [f"{found.time_unknown} of unknown time"] * bool(found.time_unknown)
    earlier = f"astro-factory {found.made_with}" if found.made_with else "the version of astro-factory that made them"
    return (
        f"{subject} because {found.kind}'s version went {found.old} -> {found.new}: remaking costs {', '.join(costs)}, "
        f"and what reads them runs again if they differ. {earlier} still finds their earlier results, until gc"
    )


def _print_changes(planned: Plan) -> None:
    for name, item in planned.nodes.items():
        if item.changes:
            print(f"{name}:", *(f"  {change}" for change in item.changes), sep="\n")


def _span(seconds: float) -> str:
    """A wall time as text."""
    if seconds >= 3600:
        return f"{seconds / 3600:,.1f} h"
    return f"{seconds / 60:,.0f} min" if seconds >= 120 else f"{seconds:,.0f} s"


def _rows(planned: Plan) -> dict[str, list[PlannedNode]]:
    """The nodes of each line: one, or all variants of a stage."""
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


def _reason(planned: Plan, items: list[PlannedNode]) -> str:
    """The reason of a node, or of the first variant that must run or waits; else of one with the commonest status."""
    if len(items) == 1:
        return items[0].reason
    counts = Counter(item.status for item in items)
    status = next((status for status in UNBUILT if counts[status]), counts.most_common(1)[0][0])
    first = next(item for item in items if item.status is status)
    if status is Status.PENDING:
        waits = [name for name, node in first.node.reads.items() if planned.nodes[node].status in UNBUILT]
        return f"waits for {', '.join(waits)}" if waits else first.reason
    return f"{first.node.name}: {first.reason}"


def takes(estimates: Sequence[Estimate]) -> str:
    """The total of some estimates, and their basis."""
    if len(estimates) == 1 and estimates[0].extrapolation:
        return extrapolated(estimates[0])
    if not estimates or not (basis := estimates[0].basis):
        return "unknown" if estimates else ""
    amounts = []
    for name, unit in (("calls", "calls"), ("tokens", "tokens")):
        if (total := _sum(getattr(estimate, name) for estimate in estimates)) is not None:
            amounts.append(f"{total:,.0f} {unit}")
    if basis == AT_MOST:
        return f"at most {', '.join(amounts) or 'unknown'}"
    seconds = _sum(estimate.seconds for estimate in estimates)
    amounts.append("time unknown" if seconds is None else time_of(seconds, estimates[0].processor))
    size = _sum(estimate.bytes for estimate in estimates)
    amounts += [] if size is None else [size_of(size)]
    return f"{', '.join(amounts)} ({basis}{_at_most(estimates)})"


def extrapolated(estimate: Estimate) -> str:
    """What the stored items of a run say about the rest of it, with 95 % intervals, and what it takes at most."""
    found = estimate.extrapolation
    assert found
    parts = [_with_interval(found.calls, "calls"), _with_interval(found.tokens, "tokens")]
    if found.seconds:
        parts.append(_with_interval(found.seconds, "seconds"))
    low, high = (f"{share:.0%}" for share in (found.solved.low, found.solved.high))
    parts.append(f"{found.solved.value:.0%} [{low}, {high}] solved")
    return f"{', '.join(parts)} ({estimate.basis}{_at_most([estimate])})"


def _at_most(estimates: Sequence[Estimate]) -> str:
    """The limit on the tokens of whole runs, where their configs set one."""
    most = _sum(estimate.most_tokens for estimate in estimates)
    return "" if most is None else f"; at most {most:,.0f} tokens in all"


def _with_interval(found: Range, unit: str) -> str:
    return f"{found.value:,.0f} {unit} [{found.low:,.0f}, {found.high:,.0f}]"


def _sum(values: Iterable[float | None]) -> float | None:
    """The sum, or None if a value is unknown."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _total(found: Mapping[str, Any]) -> str:
    amounts = [time_of(found[f"{name}_seconds"], name) for name in ("cores", "GPUs") if found[f"{name}_seconds"]]
    most = "at most " if found["at_most"] else ""
    amounts += [f"{most}{found[name]:,} {name}" for name in ("calls", "tokens") if found[name]]
    amounts += [size_of(found["bytes"])] if found["bytes"] else []
    amounts += [f"the time of {found['time_unknown']} is unknown"] if found["time_unknown"] else []
    return ", ".join(amounts) or "nothing"


def time_of(seconds: float, processor: str) -> str:
    """The total time of all processors as text."""
    if processor == "GPUs":
        return f"{seconds / 3600:,.2f} GPU-hours"
    return f"{seconds / 3600:,.1f} core-hours" if seconds >= 3600 else f"{seconds:,.0f} core-seconds"


def size_of(count: float) -> str:
    """A number of bytes as text."""
    power = next((power for power in (4, 3, 2, 1) if count >= 1000**power), 0)
    return f"{count / 1000**power:,.3g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def _sharing(planned: Plan) -> dict[str, int]:
    """The number of stages of a variant, and of distinct and shared nodes of all variants."""
    variants = planned.graph.variants
    uses = Counter(node for variant in variants for node in variant.nodes.values())
    return {
        "variants": len(variants),
        "stages": max(len(variant.nodes) for variant in variants),
        "distinct": len(uses),
        "shared": sum(count == len(variants) for count in uses.values()),
    }
