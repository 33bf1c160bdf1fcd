"""What stages take of the machine, and who may start next.

A kind may say what a run of it takes: `cores(config)`, `gpus(config)`, `memory_gb(config)`. Where it does not, that is
one core and no more. A stage that wants more than there is gets all there is.
"""

import importlib
import os
from heapq import heappop, heappush
from typing import NamedTuple

from astro_factory.core.devices import gpus
from astro_factory.core.graph import GraphNode
from astro_factory.core.results import PlannedNode, Status


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
    module = importlib.import_module(node.module)
    amounts = {name: getattr(module, name) for name in Resources._fields if hasattr(module, name)}
    return Resources(**{"cores": 1} | {name: amount(node.config) for name, amount in amounts.items()})


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
