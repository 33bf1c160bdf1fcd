"""Intervals by the percentile bootstrap over problems, or over clusters of problems that are not independent.

A resample draws as many clusters as there are, with replacement; its value is the mean over the problems in it. All
values of one report are resampled by the same draws, so a paired difference is a difference of the same problems.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean over problems and where it lies with the report's confidence."""

    value: float
    low: float
    high: float


class Bootstrap:
    """Resamples of a set of problems: `interval(values)` takes one value a problem, in the order of `clusters`."""

    def __init__(
        self, clusters: Sequence[Hashable], seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
    ):
        """`clusters` names each problem's cluster; problems with equal names stay together."""
        numbers: dict[Hashable, int] = {}
        self._cluster_of = np.array([numbers.setdefault(name, len(numbers)) for name in clusters])
        count = len(numbers)
        draws = np.random.default_rng(seed).multinomial(count, [1 / count] * count, size=resamples)
        self._draws = draws.astype(np.float64)
        self._problems = draws @ np.bincount(self._cluster_of)
        self._quantiles = ((1 - confidence) / 2, (1 + confidence) / 2)

    def interval(self, values: Sequence[float]) -> Interval:
        """The mean of the values with its interval; one value for each problem."""
        array = np.asarray(values, dtype=np.float64)
        # einsum adds in a fixed order; a matrix product's order depends on the number of threads
        means = np.einsum("rc,c->r", self._draws, np.bincount(self._cluster_of, array)) / self._problems
        low, high = np.quantile(means, self._quantiles)
        return Interval(float(array.mean()), float(low), float(high))

    def statistic(self, columns: Sequence[np.ndarray], of: Callable[..., float]) -> Interval:
        """Any statistic of some columns with its interval; each has a row for each problem, and draws are shared.

        NaN in the value or in more than one resample of twenty makes all three NaN.
        """
        problems = np.arange(len(self._cluster_of))
        values = np.empty(len(self._draws))
        for number, draws in enumerate(self._draws):
            drawn = np.repeat(problems, draws[self._cluster_of].astype(np.intp))
            values[number] = of(*(column[drawn] for column in columns))
        value, known = of(*columns), values[~np.isnan(values)]
        if np.isnan(value) or len(known) < 0.95 * len(values):
            return Interval(np.nan, np.nan, np.nan)
        low, high = np.quantile(known, self._quantiles)
        return Interval(float(value), float(low), float(high))
