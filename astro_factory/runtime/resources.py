"""What stages take of the machine, and who may start next.

A kind states what a run needs by the hooks `cores`, `gpus` and `memory_gb` (`stages.base`). A stage that needs more
than the machine has gets all of it.
"""

import os
from heapq import heappop, heappush
from typing import NamedTuple

from astro_factory.core.devices import gpus
from astro_factory.core.graph import GraphNode
from astro_factory.core.results import PlannedNode, Status
from astro_factory.stages import stage_kind


class Resources(NamedTuple):
    """An amount of each; what a stage takes, or what the machine has."""

    cores: float = 0
    gpus: float = 0
    memory_gb: float = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(*(a + b for a, b in zip(self, other, strict=True)))

    def __sub__(self, other: "Resources") -> "Resources":
        return Resources(*(a - b for a, b in zip(self, other, strict=True)))

    def within(self, other: "Resources") -> bool:
        return all(a <= b for a, b in zip(self, other, strict=True))

    def at_most(self, other: "Resources") -> "Resources":
        return Resources(*map(min, self, other))


def machine(jobs: int | None) -> Resources:
    """What a build may use: `jobs` cores, by default one for each GPU where there are any, else all of them."""
    devices = len(gpus())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return Resources(jobs or devices or os.cpu_count() or 1, devices, memory)


def taken(planned: PlannedNode) -> Resources:
    """What a node takes while it is made; copying an import takes nothing."""
    if planned.status is Status.IMPORT:
        return Resources()
    return _amounts(planned.node)


def processors(node: GraphNode) -> tuple[float, str]:
    """How many processors a run of a node keeps busy, and which: `cores` or, of a model on this machine, `GPUs`."""
    amount = _amounts(node)
    return (amount.gpus or amount.cores, "GPUs") if node.heavy and gpus() else (amount.cores, "cores")


def _amounts(node: GraphNode) -> Resources:
    kind, config = stage_kind(node.module), node.config
    return Resources(kind.cores(config), kind.gpus(config), kind.memory_gb(config))


class Queue:
    """Nodes that could start, in the order of the plan; those that take equal amounts stand in one line."""

    def __init__(self, all_: Resources):
        self.free = self._all = all_
        self._lines: dict[Resources, list[tuple[int, PlannedNode]]] = {}

    def put(self, order: int, planned: PlannedNode) -> None:
        """Let a node wait for its turn; `order` is its place in the plan."""
        heappush(self._lines.setdefault(taken(planned).at_most(self._all), []), (order, planned))

    def take(self) -> tuple[PlannedNode, Resources] | None:
        """The first node of the plan that there is room for, and what it takes until `give_back`."""
        fitting = [amount for amount, line in self._lines.items() if line and amount.within(self.free)]
        if not fitting:
            return None
        amount = min(fitting, key=lambda amount: self._lines[amount][0][0])
        self.free -= amount
        return heappop(self._lines[amount])[1], amount

    def give_back(self, amount: Resources) -> None:
        self.free += amount

    def clear(self) -> list[PlannedNode]:
        """Let nobody wait any longer; returns who did."""
        waited = sorted((entry for line in self._lines.values() for entry in line), key=lambda entry: entry[0])
        self._lines.clear()
        return [planned for _, planned in waited]
