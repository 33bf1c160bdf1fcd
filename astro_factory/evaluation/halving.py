"""Successive halving: which variants of a sweep continue after a number of seeds.

Variants are compared by the mean of the first metric over the same problems and seeds. Each seed is built in full, so a
variant that continues has lost nothing, and a rerun makes the same decisions.
"""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from astro_factory.evaluation.variants import Settings, VariantRuns, mean_of


class Rung(NamedTuple):
    """The decision after a number of seeds."""

    seeds: int
    kept: list[Settings]
    """Settings of the variants that continue, best first; the baseline always continues and is not listed."""
    dropped: list[Settings]
    """Settings of the others, failed variants last."""


def halve(
    variants: Sequence[VariantRuns], seeds: int, *, arm: str, metrics: Sequence[str], samples: int, keep: float
) -> Rung:
    """Choose among variants that were built for `seeds` seeds; one that lacks a repetition is dropped.

    `keep` is the share of the variants, baseline excluded, that continues, rounded up. Ties go to the first.
    """
    others = [variant for variant in variants if not variant.baseline]
    means = {id(v): mean_of(v, arm, metrics, samples) for v in others if len(v.repetitions) >= seeds}
    ranked = sorted((v for v in others if id(v) in means), key=lambda v: -means[id(v)])
    number = ceil(round(keep * len(others), 9))
    failed = [variant for variant in others if id(variant) not in means]
    return Rung(seeds, [v.settings for v in ranked[:number]], [v.settings for v in ranked[number:] + failed])
