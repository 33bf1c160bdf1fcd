"""A machine to plan for: this one, or one described as `8xH100-80GB`."""

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from astro_factory.core.devices import Inventory
from astro_factory.core.errors import UserError

GB = 2**30
"""Bytes in the unit of this module and of the names of GPUs."""
_GRAMMAR = re.compile(r"(?:(?P<nodes>[1-9]\d*)x)?(?P<gpus>[1-9]\d*)x(?P<name>[^\s-][^\s]*?)-(?P<memory>[1-9]\d*)GB")


@dataclass(frozen=True, slots=True)
class Machine:
    """One or several equal nodes with equal GPUs. Memory is in 2^30 bytes."""

    nodes: int = 1
    gpus: int = 0
    """GPUs of a node."""
    gpu_name: str = ""
    gpu_gb: float = 0.0
    """Memory of a GPU; 0 if unknown."""
    host_gb: float = 0.0
    """Main memory of a node; 0 if unknown."""
    separate: bool = False
    """Whether its GPUs cannot work together on one model, as the instances of a split GPU."""

    @property
    def all_gpus(self) -> int:
        return self.nodes * self.gpus

    @property
    def is_described(self) -> bool:
        """Whether it is a machine that was described, and not this one, of which the other nodes are not known."""
        return not self.host_gb

    @property
    def tflops(self) -> float | None:
        """Peak speed of a GPU in bf16, in 10^12 operations a second; None if its model is not in our table."""
        return self._sheet.get("tflops")

    @property
    def gb_per_s(self) -> float | None:
        """Memory bandwidth of a GPU, in 10^9 bytes a second; None if its model is not in our table."""
        return self._sheet.get("gb_per_s")

    @property
    def _sheet(self) -> dict[str, float]:
        return next((sheet for name, sheet in _sheets().items() if name.lower() in self.gpu_name.lower()), {})

    def __str__(self) -> str:
        if not self.gpus:
            return f"a machine without GPUs, {self.host_gb:.0f} GB of memory"
        nodes = f"{self.nodes}x" if self.nodes > 1 else ""
        return f"{nodes}{self.gpus}x{self.gpu_name}-{self.gpu_gb:.0f}GB"


def parse_machine(text: str) -> Machine:
    """A machine from its description `[NODESx]GPUSxNAME-GB`, such as `8xH100-80GB`. Raises `UserError` E183."""
    found = _GRAMMAR.fullmatch(text)
    if not found:
        cause = f"'{text}' does not describe a machine"
        raise UserError.of("E183", cause, "write [NODESx]GPUSxNAME-GB, as in 8xH100-80GB or 8x8xH100-80GB")
    gpus, memory = int(found["gpus"]), float(found["memory"])
    return Machine(int(found["nodes"] or 1), gpus, found["name"], memory)


def this_machine(found: Inventory) -> Machine:
    """The machine of this process with the GPUs of an inventory; of unequal ones the smallest counts."""
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB
    smallest = min(found.gpus, key=lambda gpu: gpu.memory_gb, default=None)
    if smallest is None:
        return Machine(host_gb=host)
    split = any(gpu.mig for gpu in found.gpus)
    return Machine(1, len(found.gpus), smallest.name, smallest.memory_gb, host, split)


@cache
def _sheets() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "gpu_models.json").read_text(encoding="utf-8"))["models"]
