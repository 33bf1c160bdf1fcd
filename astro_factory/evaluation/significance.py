"""Significance of differences between arms: exact or sampled sign flips over clusters, corrected for multiple tests.

If two arms are equally good, each cluster's difference is equally likely to have either sign. The p-value is the share
of sign patterns whose absolute mean difference is at least the observed one.
"""

from collections.abc import Hashable, Sequence
from itertools import product

import numpy as np

FLIPS = 20_000
P_FLOOR = round(1 / (FLIPS + 1), 6)
"""The smallest p-value that sampled sign patterns can give, as files hold it."""
_EXACT = 12
"""With at most this many clusters that differ, all sign patterns are counted."""
_CHUNK = 1000


def sign_flip_p(differences: Sequence[float], clusters: Sequence[Hashable], seed: int) -> float:
    """Two-sided p-value of a mean paired difference, one difference for each problem; 1 where all are 0."""
    sums: dict[Hashable, float] = {}
    for value, cluster in zip(differences, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value
    values = np.array([value for value in sums.values() if value])
    if not len(values):
        return 1.0
    observed = abs(values.sum()) * (1 - 1e-9)  # sums that differ only by rounding are equal
    if len(values) <= _EXACT:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(values))))
        return float(np.mean(np.abs(signs @ values) >= observed))
    random, larger = np.random.default_rng(seed), 0
    for _ in range(FLIPS // _CHUNK):
        signs = random.integers(0, 2, size=(_CHUNK, len(values))) * 2.0 - 1.0
        # einsum adds in a fixed order; a matrix product's order depends on the number of threads
        larger += int(np.sum(np.abs(np.einsum("rc,c->r", signs, values)) >= observed))
    return (larger + 1) / (FLIPS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for multiple tests (Holm 1979): the chance of any false positive stays below the level."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
