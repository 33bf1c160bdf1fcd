"""The amount of work in a stage run, estimated from its config and the sizes of its inputs before anything runs.

A kind may define the hook `estimate(config, rows)`; `rows` has the number of rows of each artifact that the config
names, if it is known. Unknown amounts are None.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Rows = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Workload:
    """The work of one run."""

    unit: str
    """The unit that its time is proportional to, such as `model calls`; only runs with equal units are compared."""
    units: float | None
    """The number of units, at most."""
    rows: float | None = None
    """Rows of the output's table, at most."""
    calls: float | None = None
    """Samples from a model, at most."""
    tokens: float | None = None
    """Sampled tokens, at most."""


def total(rows: Rows, names: Iterable[str]) -> float | None:
    """The rows of several artifacts together; None if one of them is unknown."""
    counts = [rows.get(name) for name in names]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def times(*factors: float | None) -> float | None:
    """The product; None if a factor is unknown."""
    product = 1.0
    for factor in factors:
        if factor is None:
            return None
        product *= factor
    return product
