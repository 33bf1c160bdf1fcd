"""A mean difference over problems and training seeds, with an interval that knows how few seeds there are.

Both vary: other problems would give another difference, and so would other seeds. Their variances add, that of problems
over clusters of problems, that of seeds over the seeds' means. Each is known only as well as its number of clusters or
seeds allows, so the interval uses Student's t with the degrees of freedom of Satterthwaite (1946). Where seeds agree,
it is about as wide as a bootstrap's; where three seeds scatter, it is far wider.

Chance that acts on single problems under single seeds, such as sampling, is part of both variances. Where nothing else
varies, the interval is up to 1.4 times as wide as it had to be and covers the mean in 98 to 99 of 100 cases.
"""

from collections.abc import Hashable, Sequence
from math import exp, lgamma, pi, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from astro_factory.evaluation.intervals import CONFIDENCE, POWER

_NOTHING = 1e-18
"""Variances below this are rounding errors."""


class MeanOverSeeds(NamedTuple):
    """A mean with its confidence interval and the two-sided p-value of its being 0."""

    value: float
    low: float
    high: float
    p: float
    detectable: float
    """The true mean that would be found with a power of 80 %; NaN where nothing varies, so that nothing is known."""


def mean_over_seeds(
    values: Sequence[float], clusters: Sequence[Hashable], seeds: Sequence[Hashable], confidence: float = CONFIDENCE
) -> MeanOverSeeds:
    """The mean of `values`, one for each problem under each seed, all three sequences in the same order.

    Where all clusters show the same mean, there is no variance to use, and the interval has no width. The p-value is
    then that of the sign test, which depends on the number of clusters: one problem alone proves nothing.

    Raises:
        ValueError: there are no values.
    """
    if not len(values):
        raise ValueError("no problem is in both")
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean())
    parts = [_variance(array, clusters), _variance(array, seeds)]
    variance = sum(variance for variance, _ in parts)
    if variance <= _NOTHING:
        return MeanOverSeeds(mean, mean, mean, 1.0 if mean == 0 else 2.0 ** (1 - len(set(clusters))), float("nan"))
    freedom = variance**2 / sum(own**2 / others for own, others in parts if own)
    error = variance**0.5
    quantile = _t_quantile((1 + confidence) / 2, freedom)
    half, detectable = quantile * error, (quantile + _t_quantile(POWER, freedom)) * error
    return MeanOverSeeds(mean, mean - half, mean + half, 2 * _t_tail(abs(mean) / error, freedom), detectable)


def _variance(values: np.ndarray, groups: Sequence[Hashable]) -> tuple[float, float]:
    """The variance of the mean if whole groups are drawn, and its degrees of freedom (0 and 1 for a single group).

    A large group pulls the mean towards itself, which hides its own deviation. So each deviation is divided by the
    share of the values outside its group, and a few large groups count as few (Bell and McCaffrey 2002). With equal
    groups this is the usual variance with one degree of freedom less than there are groups.
    """
    numbers: dict[Hashable, int] = {}
    group = np.array([numbers.setdefault(name, len(numbers)) for name in groups])
    if len(numbers) == 1:
        return 0.0, 1.0
    sums, share = np.bincount(group, values - values.mean()), np.bincount(group) / len(values)
    pull = share**2 / (1 - share)
    freedom = 1 / ((share**2).sum() + pull.sum() ** 2 - (pull**2).sum())
    return float((sums**2 / (1 - share)).sum()) / len(values) ** 2, float(freedom)


def _t_tail(t: float, freedom: float) -> float:
    """P(T > t) for t >= 0: half the regularised incomplete beta function."""
    from mpmath import betainc

    return float(betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True)) / 2


def _t_quantile(share: float, freedom: float) -> float:
    """The t below which `share` (above a half) of the distribution lies, by Newton's method: the tail is convex, and
    the normal distribution's quantile lies below it, so the steps never pass it."""
    t, scale = NormalDist().inv_cdf(share), exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2)) / sqrt(freedom * pi)
    for _ in range(30):
        density = scale * (1 + t * t / freedom) ** (-(freedom + 1) / 2)
        step = (_t_tail(t, freedom) - (1 - share)) / density
        t += step
        if step < 1e-9:
            break
    return t
