"""The resources that stages need, and the queue that starts a stage as soon as there is room for it.

A kind declares what a run needs with the hooks `cores`, `gpus` and `memory_gb` (`stages.base`). A stage that needs more
cores or memory than the machine has gets all of them. GPUs are exclusive: a stage gets its devices by id, and a plan
that needs more than there are is refused before it starts. A machine without GPUs runs everything on its CPU.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Generic, TypeVar

from astro_factory.core.devices import gpus, inventory
from astro_factory.core.graph import GraphNode
from astro_factory.core.plans import Executable, Import
from astro_factory.stages import stage_kind

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Resources:
    """An amount of each resource: what a stage needs, or what a machine has."""

    cores: float = 0
    gpus: float = 0
    memory_gb: float = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(self.cores + other.cores, self.gpus + other.gpus, self.memory_gb + other.memory_gb)

    def __sub__(self, other: "Resources") -> "Resources":
        return Resources(self.cores - other.cores, self.gpus - other.gpus, self.memory_gb - other.memory_gb)

    def fits_in(self, other: "Resources") -> bool:
        return self.cores <= other.cores and self.gpus <= other.gpus and self.memory_gb <= other.memory_gb

    def capped_at(self, other: "Resources") -> "Resources":
        return Resources(min(self.cores, other.cores), min(self.gpus, other.gpus), min(self.memory_gb, other.memory_gb))


def machine_resources(jobs: int | None) -> Resources:
    """What a build may use: `jobs` cores, by default all, and all GPUs and memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return Resources(jobs or os.cpu_count() or 1, len(inventory().gpus), memory)


def required(planned: Executable) -> Resources:
    """What a node needs while it is executed; copying an import needs nothing."""
    return Resources() if isinstance(planned, Import) else declared(planned.node)


def processors(node: GraphNode) -> tuple[float, str]:
    """How many processors a run of a node keeps busy, and which: `cores` or, for a model on a GPU machine, `GPUs`."""
    amount = declared(node)
    return (amount.gpus, "GPUs") if amount.gpus and gpus() else (amount.cores, "cores")


def declared(node: GraphNode) -> Resources:
    """What the kind of a node says that a run needs."""
    kind, config = stage_kind(node.module), node.config
    return Resources(kind.cores(config), kind.gpus(config), kind.memory_gb(config))


class Devices:
    """The GPUs that no stage uses at the moment."""

    def __init__(self, ids: Sequence[str]):
        self._order = {name: number for number, name in enumerate(ids)}
        self._free = set(ids)

    def take(self, count: int) -> list[str]:
        """The first free ones; a stage that `ReadyQueue.pop` returned finds enough."""
        taken = sorted(self._free, key=self._order.__getitem__)[:count]
        self._free.difference_update(taken)
        return taken

    def give_back(self, ids: Sequence[str]) -> None:
        self._free.update(ids)


class ReadyQueue(Generic[Item]):
    """Nodes that are ready to start, in the order of the plan; nodes with equal needs share a heap."""

    def __init__(self, total: Resources):
        self.free = self._total = total
        self._heaps: dict[Resources, list[tuple[int, Item]]] = {}

    def push(self, order: int, item: Item, needs: Resources) -> None:
        """Add a node; `order` is its position in the plan, and no two nodes share one."""
        heappush(self._heaps.setdefault(needs.capped_at(self._total), []), (order, item))

    def pop(self) -> tuple[Item, Resources] | None:
        """The first node of the plan that there is room for, and the amount that it takes until `release`."""
        fitting = [amount for amount, heap in self._heaps.items() if heap and amount.fits_in(self.free)]
        if not fitting:
            return None
        amount = min(fitting, key=lambda amount: self._heaps[amount][0][0])
        self.free -= amount
        return heappop(self._heaps[amount])[1], amount

    def release(self, amount: Resources) -> None:
        self.free += amount

    def clear(self) -> list[Item]:
        """Remove all nodes and return them in the order of the plan."""
        waiting = sorted((entry for heap in self._heaps.values() for entry in heap), key=lambda entry: entry[0])
        self._heaps.clear()
        return [item for _, item in waiting]
