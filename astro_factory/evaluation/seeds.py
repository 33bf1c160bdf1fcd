"""A mean difference over problems and training seeds, with an interval that knows how few seeds there are.

Both vary: other problems would give another difference, and so would other seeds. Their variances add, that of problems
over clusters of problems, that of seeds over the seeds' means. Each is known only as well as its number of clusters or
seeds allows, so the interval uses Student's t with the degrees of freedom of Satterthwaite (1946). Where seeds agree,
it is about as wide as a bootstrap's; where three seeds scatter, it is far wider.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from astro_factory.evaluation.intervals import CONFIDENCE


class MeanOverSeeds(NamedTuple):
    """A mean with its confidence interval and the two-sided p-value of its being 0."""

    value: float
    low: float
    high: float
    p: float


def mean_over_seeds(
    values: Sequence[float], clusters: Sequence[Hashable], seeds: Sequence[Hashable], confidence: float = CONFIDENCE
) -> MeanOverSeeds:
    """The mean of `values`, one for each problem under each seed, all three sequences in the same order."""
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean())
    parts = [_variance(array, clusters), _variance(array, seeds)]
    variance = sum(variance for variance, _ in parts)
    if variance <= 0:
        return MeanOverSeeds(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    freedom = variance**2 / sum(own**2 / others for own, others in parts if own)
    error = variance**0.5
    half = _t_quantile((1 + confidence) / 2, freedom) * error
    return MeanOverSeeds(mean, mean - half, mean + half, 2 * _t_tail(abs(mean) / error, freedom))


def _variance(values: np.ndarray, groups: Sequence[Hashable]) -> tuple[float, int]:
    """The variance of the mean if whole groups are drawn, and its degrees of freedom (0 and 1 for a single group)."""
    numbers: dict[Hashable, int] = {}
    group = np.array([numbers.setdefault(name, len(numbers)) for name in groups])
    count = len(numbers)
    if count == 1:
        return 0.0, 1
    sums = np.bincount(group, values - values.mean())
    return float((sums**2).sum()) * count / (count - 1) / len(values) ** 2, count - 1


def _t_tail(t: float, freedom: float) -> float:
    """P(T > t) for t >= 0: half the regularised incomplete beta function."""
    from mpmath import betainc

    return float(betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True)) / 2


def _t_quantile(share: float, freedom: float) -> float:
    """The t below which `share` of the distribution lies, by bisection."""
    low, high = 0.0, 1.0
    while _t_tail(high, freedom) > 1 - share:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_tail(middle, freedom) > 1 - share else (low, middle)
    return high
