"""Successive halving: which variants of a sweep go on, after a number of seeds that all of them have.

Variants are compared by the mean of the first metric over the same problems under the same seeds. Each seed was built
whole, so whoever goes on has lost nothing, and a rerun decides the same.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from astro_factory.evaluation.variants import VariantRuns, mean_of


class Rung(NamedTuple):
    """What was decided after so many seeds."""

    seeds: int
    kept: list[Mapping[str, Any]]
    """Settings of the variants that go on, the best first; without the baseline, which always does."""
    dropped: list[Mapping[str, Any]]
    """The others', those that failed last."""


def halve(
    variants: Sequence[VariantRuns], seeds: int, *, arm: str, metrics: Sequence[str], samples: int, keep: float
) -> Rung:
    """Decide among variants that were built for that many seeds; one that lacks a repetition is dropped.

    `keep` is the share of the variants without the baseline that goes on, rounded up. Of equal ones, the first goes on.
    """
    others = [variant for variant in variants if not variant.baseline]
    means = {id(v): mean_of(v, arm, metrics, samples) for v in others if len(v.repetitions) >= seeds}
    ranked = sorted((v for v in others if id(v) in means), key=lambda v: -means[id(v)])
    number = ceil(round(keep * len(others), 9))
    failed = [variant for variant in others if id(variant) not in means]
    return Rung(seeds, [v.settings for v in ranked[:number]], [v.settings for v in ranked[number:] + failed])
