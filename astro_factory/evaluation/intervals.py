"""Intervals by the percentile bootstrap over problems, or over clusters of problems that are not independent.

A resample draws as many clusters as there are, with replacement; its value is the mean over their problems. All values
of one report share the same draws, so a paired difference is taken over the same problems.
"""

from collections.abc import Callable, Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95


POWER = 0.8
"""Power at which a difference counts as detectable."""


def detectable(low: float, high: float) -> float:
    """The minimum detectable effect of a comparison with this interval: the true difference that it would find with a
    power of 80 % (Miller 2024, arXiv 2411.00640, section 5)."""
    normal = NormalDist()
    quantile = normal.inv_cdf((1 + CONFIDENCE) / 2)
    return (high - low) / 2 / quantile * (quantile + normal.inv_cdf(POWER))


class Interval(NamedTuple):
    """A mean over problems with its confidence interval."""

    value: float
    low: float
    high: float


class Bootstrap:
    """Resamples of a set of problems; values are given one for each problem, in the order of `clusters`."""

    def __init__(
        self, clusters: Sequence[Hashable], seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
    ):
        """`clusters` names each problem's cluster; problems of one cluster are drawn together."""
        numbers: dict[Hashable, int] = {}
        self._cluster_of = np.array([numbers.setdefault(name, len(numbers)) for name in clusters])
        count = len(numbers)
        draws = np.random.default_rng(seed).multinomial(count, [1 / count] * count, size=resamples)
        self._draws = draws.astype(np.float64)
        self._problems = draws @ np.bincount(self._cluster_of)
        self._quantiles = ((1 - confidence) / 2, (1 + confidence) / 2)

    def interval(self, values: Sequence[float]) -> Interval:
        """The mean of the values with its interval."""
        array = np.asarray(values, dtype=np.float64)
        # einsum adds in a fixed order; a matrix product's order depends on the number of threads
        means = np.einsum("rc,c->r", self._draws, np.bincount(self._cluster_of, array)) / self._problems
        low, high = np.quantile(means, self._quantiles)
        return Interval(float(array.mean()), float(low), float(high))

    def statistic(self, columns: Sequence[np.ndarray], statistic: Callable[..., float]) -> Interval:
        """Any statistic of some columns with its interval; each column has a row for each problem.

        All three are NaN if the value is, or if more than one resample in twenty is.
        """
        problems = np.arange(len(self._cluster_of))
        values = np.empty(len(self._draws))
        for number, draws in enumerate(self._draws):
            drawn = np.repeat(problems, draws[self._cluster_of].astype(np.intp))
            values[number] = statistic(*(column[drawn] for column in columns))
        value, known = statistic(*columns), values[~np.isnan(values)]
        if np.isnan(value) or len(known) < 0.95 * len(values):
            return Interval(np.nan, np.nan, np.nan)
        low, high = np.quantile(known, self._quantiles)
        return Interval(float(value), float(low), float(high))
