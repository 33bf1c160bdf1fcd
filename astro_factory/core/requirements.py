"""What a stage needs of a machine, predicted before it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Requirements:
    """Predicted peaks. A kind gives them for one machine; amounts are in bytes."""

    gpus: int = 0
    gpu: Mapping[str, float] = field(default_factory=dict)
    """On the fullest GPU, by part."""
    host: float | None = None
    """Main memory of the fullest node."""
    disk: float | None = None
    """Checkpoints and output together."""
    seconds: float | None = None
    """Wall time at most, if all samples and sequences have their greatest length; None if unknown."""
    notes: tuple[str, ...] = ()
    """What a user should know about the prediction."""

    @property
    def peak_gpu(self) -> float:
        return sum(self.gpu.values())


Changes = dict[str, Any]
"""Dotted path of a config's field to another value, which makes the stage need less."""
