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


@dataclass(frozen=True, slots=True)
class Range:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Range":
        return Range(self.value * factor, self.low * factor, self.high * factor)

    def as_json(self, digits: int = 0) -> dict[str, float]:
        found = {name: round(getattr(self, name), digits) for name in ("value", "low", "high")}
        return found if digits else {name: round(value) for name, value in found.items()}


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """What the items that are stored already say about a run. Amounts are what is left to do."""

    unit: str
    """What an item is, such as `trees`."""
    done: int
    total: int
    calls: Range
    tokens: Range
    seconds: Range | None
    """Running time; None if the speed is not known."""
    solved: Range
    """Share of the items with a correct answer."""

    def as_json(self) -> dict[str, object]:
        return {
            "unit": self.unit,
            "done": self.done,
            "total": self.total,
            "calls": self.calls.as_json(),
            "tokens": self.tokens.as_json(),
            "seconds": self.seconds and self.seconds.as_json(1),
            "solved": self.solved.as_json(4),
        }


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
