"""The definition of sweeps in a spec: axes and the combinations of their values.

sweeps:
  phrasing:
    axes:
      stages.traces.template: [paper, terse]
      params.seed: [0, 1, 2]
    compare: report
    baseline: {stages.traces.template: paper, params.seed: 0}

An axis is a dotted path as in `--set`; an axis that ends in `seed` creates repetitions, not variants. Only the stage in
`compare` and its inputs are built; without `compare`, every stage is.
"""

import json
import re
from collections.abc import Iterator
from itertools import pairwise, product
from math import prod
from typing import Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from astro_factory.core.config import Config
from astro_factory.core.graph import is_seed

MAX_VARIANTS = 10_000
_PLAIN = re.compile(r"[\w./:+-]{1,40}")


class Halving(Config):
    """Successive halving: variants that do worse on the first seeds are not built for the remaining seeds.

    Each seed is built completely or not at all: variants that stay lose nothing, and dropped variants have results for
    fewer seeds.
    """

    after: tuple[Annotated[int, Field(gt=0)], ...] | None = None
    """Seed counts after which variants are dropped, increasing. Default: 1, 2, 4, ..., as long as seeds remain."""
    keep: float = Field(default=0.5, gt=0, lt=1)
    """Share of the variants that are kept each time, rounded up. The baseline is always kept."""
    arm: str | None = None
    """The arm whose results decide, if the evaluation has several."""

    @model_validator(mode="after")
    def _rising(self) -> "Halving":
        if self.after is not None and not (self.after and all(a < b for a, b in pairwise(self.after))):
            raise ValueError("`after` must be an increasing list of seed counts, such as [1, 3]")
        return self

    def rungs(self, seeds: int) -> list[int]:
        """The seed counts after which variants are dropped, given the total number of seeds."""
        if self.after is not None:
            return list(self.after)
        return [2**power for power in range(seeds.bit_length()) if 2**power < seeds]


class Sweep(Config):
    """One entry of `sweeps:`."""

    axes: dict[str, list[Any]] = Field(min_length=1)
    """Dotted paths in the spec and the values of each; every combination is a variant."""
    compare: str | None = None
    """The stage whose results are compared. It and its inputs are built for every variant. Default: all stages."""
    baseline: Any = None
    """The variant that the others are compared with: a mapping of each axis to one of its values or, for a single axis,
    the value itself. Default: the first value of each axis."""
    halving: Halving | None = None
    """Drop the worse variants after the first seeds. By default every variant is built for every seed."""

    @model_validator(mode="after")
    def _sound(self) -> "Sweep":
        for path, values in self.axes.items():
            if not values:
                raise ValueError(f"axis '{path}' has no values; list at least one")
            if len({_text(value) for value in values}) < len(values):
                raise ValueError(f"axis '{path}' has a duplicate value; list each value once")
        if (variants := prod(map(len, self.axes.values()))) > MAX_VARIANTS:
            raise ValueError(f"the sweep has {variants} variants; the limit is {MAX_VARIANTS}")
        self.baseline_position()
        if self.halving is not None:
            seeds = prod(len(values) for path, values in self.axes.items() if is_seed(path))
            rungs = self.halving.rungs(seeds)
            if not rungs or rungs[-1] >= seeds:
                needed = rungs[-1] + 1 if rungs else 2
                raise ValueError(f"halving needs an axis that ends in `seed` with at least {needed} values")
        return self

    def baseline_position(self) -> tuple[int, ...]:
        """The baseline as the index of each axis' value. Raises ValueError if it is not one of the variants."""
        chosen = self.baseline
        if chosen is None:
            return (0,) * len(self.axes)
        if len(self.axes) == 1 and not (isinstance(chosen, dict) and chosen.keys() == self.axes.keys()):
            chosen = {next(iter(self.axes)): chosen}
        if not isinstance(chosen, dict) or chosen.keys() != self.axes.keys():
            raise ValueError("`baseline` must give one value for each axis; write `baseline: {AXIS: VALUE}`")
        for path, value in chosen.items():
            if value not in self.axes[path]:
                raise ValueError(f"the baseline of '{path}' is not one of its values: {_text(value)}")
        return tuple(self.axes[path].index(chosen[path]) for path in self.axes)


def strings_in(value: Any) -> Iterator[str]:
    """All strings in nested lists and mappings, keys left aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings_in(inner)


class Axis(NamedTuple):
    """One setting that a sweep varies."""

    path: str
    """Dotted, as in the spec."""
    name: str
    """The shortest suffix of the path that belongs to no other axis."""
    values: tuple[Any, ...]
    labels: tuple[str, ...]
    """Each value as shown in the names of variants."""


def axes_of(sweep: Sweep) -> list[Axis]:
    """The axes in the order of the spec."""
    return [
        Axis(path, _shortest(path, sweep.axes), tuple(values), tuple(_labels(values)))
        for path, values in sweep.axes.items()
    ]


def positions(axes: list[Axis]) -> Iterator[tuple[int, ...]]:
    """Every combination as the indices of the values; the last axis varies fastest."""
    return product(*(range(len(axis.values)) for axis in axes))


def _shortest(path: str, others: Any) -> str:
    parts = path.split(".")
    ends = [".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]
    return next(end for end in ends if sum(f".{other}".endswith(f".{end}") for other in others) == 1 or end == path)


def _labels(values: list[Any]) -> Iterator[str]:
    """Plain words and numbers as they are; longer or ambiguous values as `#INDEX`."""
    texts = [value if isinstance(value, str) else _text(value) for value in values]
    for index, text in enumerate(texts):
        yield text if _PLAIN.fullmatch(text) and texts.count(text) == 1 else f"#{index}"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
