"""How much a stage run is to do, told from its config and the sizes of what it reads before anything runs.

A kind's module may offer `estimate(config, rows)`; `rows` has the number of rows of each artifact that the config
names, where it is known. What cannot be told stays None.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Rows = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Workload:
    """What a run would do."""

    unit: str
    """What its time grows with, such as `model calls`; runs are compared only if they count the same."""
    units: float | None
    """How many of them, at most."""
    rows: float | None = None
    """Rows of the output's table, at most."""
    calls: float | None = None
    """Samples from a model, at most."""
    tokens: float | None = None
    """Sampled tokens, at most."""


def total(rows: Rows, names: Iterable[str]) -> float | None:
    """The rows of several artifacts together, None if one of them is not known."""
    counts = [rows.get(name) for name in names]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def times(*factors: float | None) -> float | None:
    """A product, None if a factor is not known."""
    found = 1.0
    for factor in factors:
        if factor is None:
            return None
        found *= factor
    return found
