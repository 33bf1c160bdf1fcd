"""The wall time of a plan: what its stages take on this machine, started as a build would start them."""

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from astro_factory.core.plans import Plan
from astro_factory.plan.estimates import Estimate
from astro_factory.runtime.resources import ReadyQueue, Resources, declared, machine_resources, processors


@dataclass(frozen=True, slots=True)
class WallTime:
    """The expected time from the start of a build to its end."""

    seconds: float
    chain: tuple[str, ...]
    """The nodes that follow each other and take longest together: no number of processors makes the build faster."""
    chain_seconds: float
    parallelism: float
    """Nodes that run at the same time, on average."""
    unknown: int
    """Nodes whose time is not known; they count as 0 seconds."""
    cores: float
    gpus: float

    def as_json(self) -> dict[str, object]:
        return {
            "seconds": round(self.seconds, 1),
            "critical_path": list(self.chain),
            "critical_path_seconds": round(self.chain_seconds, 1),
            "parallelism": round(self.parallelism, 2),
            "time_unknown": self.unknown,
        }


def wall_time(plan: Plan, expected: Mapping[str, Estimate], jobs: int | None = None) -> WallTime | None:
    """The wall time of the nodes with an estimate; None if no time is known. `jobs`: cores to use."""
    total = machine_resources(jobs)
    seconds = {name: _seconds(plan, name, estimate, total) for name, estimate in expected.items()}
    known = {name: value or 0.0 for name, value in seconds.items()}
    unknown = sum(value is None for value in seconds.values())
    if not any(known.values()):
        return None
    needs = {name: declared(plan.nodes[name].node) for name in known}
    whole = _scheduled(plan, known, needs, total)
    chain = _longest_chain(plan, known)
    busy = sum(known.values())
    length = sum(known[name] for name in chain)
    return WallTime(whole, chain, length, busy / whole if whole else 1.0, unknown, total.cores, total.gpus)


def _seconds(plan: Plan, name: str, estimate: Estimate, total: Resources) -> float | None:
    """The wall time of one node: its estimate is summed over all processors that it keeps busy."""
    if estimate.seconds is None:
        return None
    count, kind = processors(plan.nodes[name].node)
    return estimate.seconds / max(1.0, min(count, total.gpus if kind == "GPUs" else total.cores))


def _scheduled(plan: Plan, seconds: Mapping[str, float], needs: Mapping[str, Resources], total: Resources) -> float:
    """The end of the last node, with the rules by which a build starts nodes."""
    missing = {name: {r for r in plan.nodes[name].node.references if r in seconds} for name in seconds}
    followers: dict[str, list[str]] = {name: [] for name in seconds}
    for name, references in missing.items():
        for reference in references:
            followers[reference].append(name)
    order = {name: number for number, name in enumerate(seconds)}
    queue: ReadyQueue[str] = ReadyQueue(total)
    for name, references in missing.items():
        if not references:
            queue.push(order[name], name, needs[name])
    running: list[tuple[float, int, str, Resources]] = []
    now = 0.0
    while True:
        while ready := queue.pop():
            name, amount = ready
            heappush(running, (now + seconds[name], order[name], name, amount))
        if not running:
            return now
        now, _, name, amount = heappop(running)
        queue.release(amount)
        for follower in followers[name]:
            missing[follower].discard(name)
            if not missing[follower]:
                queue.push(order[follower], follower, needs[follower])


def _longest_chain(plan: Plan, seconds: Mapping[str, float]) -> tuple[str, ...]:
    """The chain of nodes, each of which reads the one before, with the greatest sum, without nodes of 0 seconds."""
    ends: dict[str, tuple[float, tuple[str, ...]]] = {}
    for name, own in seconds.items():  # each node comes after those that it reads
        before = max((ends[r] for r in plan.nodes[name].node.references if r in ends), default=(0.0, ()))
        ends[name] = before[0] + own, (*before[1], *((name,) if own else ()))
    return max(ends.values(), default=(0.0, ()))[1]
