"""A sweep's variants compared with its baseline: paired differences over problems and seeds, with their costs.

A variant is a combination of the axes that are not seeds; its runs under each seed are its repetitions. A problem's
value under a seed is compared with the baseline's on the same problem under the same seed. Intervals and p-values cover
other problems and other seeds (`evaluation.seeds`); p-values get Holm's correction for the number of variants.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic reads typing's own only from Python 3.12 on

from astro_factory.evaluation.metrics import Row, per_problem
from astro_factory.evaluation.samples import LATER_MEASURES, MEASURES
from astro_factory.evaluation.seeds import MeanOverSeeds, mean_over_seeds
from astro_factory.evaluation.significance import holm

_DIGITS = 6
SAMPLE_COLUMNS = (
    "source", "problem", "cluster", "arm", "sample", "tokens", "finish", "outcome", "extracted",
    *MEASURES, *LATER_MEASURES
)  # fmt: skip
"""The columns that are read from each `samples.parquet`."""

Settings = Mapping[str, object]
"""Axis to value."""


@with_config(ConfigDict(use_attribute_docstrings=True))
class VariantRow(TypedDict):
    """A row of `sweep.json`: one arm of one variant."""

    settings: dict[str, object]
    """Axis to value."""
    baseline: bool
    """Whether the others are compared with this variant."""
    arm: str
    """Arm of the evaluation."""
    seeds: int
    """How many repetitions there are."""
    problems: int
    """How many values the first metric has: problems times seeds."""
    metric: str
    """The first metric, which is compared."""
    means: dict[str, float]
    """Metric to its mean over problems and seeds."""
    by_seed: dict[str, float]
    """Seed to the mean of the first metric: how much the seed of a run alone changes the result."""
    search_tokens: int | None
    """Tokens that search sampled for a repetition, on average; null where the variant has no search."""
    difference: NotRequired[float]
    """Mean difference from the baseline; absent for the baseline itself and where no problem is in both, as are the
    next five."""
    low: NotRequired[float]
    """Lower end of its 95 % interval."""
    high: NotRequired[float]
    """Upper end of its 95 % interval."""
    p: NotRequired[float]
    """Its p-value."""
    p_holm: NotRequired[float]
    """Its p-value after Holm's correction over the variants."""
    detectable: NotRequired[float]
    """The smallest true difference that a comparison of this size would have found in four of five cases; absent also
    where all problems differ by as much."""
    dropped_after: NotRequired[int | None]
    """With halving: the number of seeds after which the variant was dropped, null if it never was."""


@dataclass
class Repetition:
    """A variant under one seed."""

    seed: str
    samples: Sequence[Row]
    search_tokens: int | None = None
    """Tokens that its search sampled; None where it has no search."""


@dataclass
class VariantRuns:
    """A variant with all its repetitions."""

    settings: Settings
    baseline: bool
    repetitions: list[Repetition] = field(default_factory=list)


def compare(variants: Sequence[VariantRuns], metrics: Sequence[str], samples: int) -> list[VariantRow]:
    """A row for each variant and arm, the baseline first.

    Args:
        variants: exactly one is the baseline; all have the same arms.
        metrics: `pass@k` and `maj@k`; the first one is compared, for the others only means are given.
        samples: how many samples of each problem and arm are used.
    """
    ordered = sorted(variants, key=lambda variant: not variant.baseline)
    baseline, *others = ordered
    rows: list[VariantRow] = []
    for arm in sorted({row["arm"] for repetition in baseline.repetitions for row in repetition.samples}):
        columns = {id(variant): _columns(variant, arm, metrics, samples) for variant in ordered}
        base = columns[id(baseline)]
        name = next(iter(base))
        arm_rows = [_row(variant, arm, columns[id(variant)], name) for variant in ordered]
        found = [_difference(columns[id(v)][name], base[name]) for v in others]
        compared = [(row, one) for row, one in zip(arm_rows[1:], found, strict=True) if one]
        for (row, difference), p in zip(compared, holm([one.p for _, one in compared]), strict=True):
            row["difference"], row["low"], row["high"], row["p"], detectable = difference
            row["p_holm"] = round(p, _DIGITS)
            if not isnan(detectable):
                row["detectable"] = detectable
        rows += arm_rows
    return rows


def mean_of(variant: VariantRuns, arm: str, metrics: Sequence[str], samples: int) -> float:
    """The mean of the first metric over the problems and seeds of a variant."""
    return _mean(next(iter(_columns(variant, arm, metrics, samples).values())))


Column = dict[tuple[str, str, str], tuple[float, str]]
"""(seed, source, problem) to a value and the problem's cluster."""


def _columns(variant: VariantRuns, arm: str, metrics: Sequence[str], samples: int) -> dict[str, Column]:
    columns: dict[str, Column] = defaultdict(dict)
    for repetition in variant.repetitions:
        problems: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in sorted(repetition.samples, key=lambda row: row["sample"]):
            if row["arm"] == arm:
                problems[row["source"], row["problem"]].append(row)
        values = per_problem(metrics, [rows[:samples] for rows in problems.values()])
        for name, column in values.items():
            for place, value in zip(problems, column, strict=True):
                columns[name][(repetition.seed, *place)] = value, problems[place][0]["cluster"]
    return columns


def _row(variant: VariantRuns, arm: str, columns: Mapping[str, Column], headline: str) -> VariantRow:
    tokens = [r.search_tokens for r in variant.repetitions if r.search_tokens is not None]
    return {
        "settings": dict(variant.settings),
        "baseline": variant.baseline,
        "arm": arm,
        "seeds": len(variant.repetitions),
        "problems": len(columns[headline]),
        "metric": headline,
        "means": {name: _mean(column) for name, column in columns.items()},
        "by_seed": _by_seed(columns[headline]),
        "search_tokens": round(sum(tokens) / len(tokens)) if tokens else None,
    }


def _mean(column: Column) -> float:
    return round(sum(value for value, _ in column.values()) / len(column), _DIGITS)


def _by_seed(column: Column) -> dict[str, float]:
    """Seed to the mean of its values."""
    seeds = dict.fromkeys(seed for seed, _, _ in column)
    return {seed: _mean({place: value for place, value in column.items() if place[0] == seed}) for seed in seeds}


def _difference(ours: Column, theirs: Column) -> MeanOverSeeds | None:
    """The mean difference over the problems and seeds that both have; None if there are none."""
    places = [place for place in ours if place in theirs]
    if not places:
        return None
    differences = [ours[place][0] - theirs[place][0] for place in places]
    found = mean_over_seeds(differences, [ours[place][1] for place in places], [place[0] for place in places])
    return MeanOverSeeds(*(round(value, _DIGITS) for value in found))
