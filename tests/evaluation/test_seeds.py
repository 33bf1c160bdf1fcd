"""Means over problems and seeds: quantiles from tables, coverage by simulation."""

import numpy as np
import pytest

from astro_factory.evaluation.intervals import detectable
from astro_factory.evaluation.seeds import _t_quantile, mean_over_seeds


@pytest.mark.parametrize("freedom, expected", [(1, 12.706), (2, 4.303), (5, 2.571), (30, 2.042), (1000, 1.962)])
def test_quantiles_are_those_of_the_tables(freedom, expected):
    assert _t_quantile(0.975, freedom) == pytest.approx(expected, abs=5e-4)


def test_three_seeds_that_scatter_say_little():
    """The same 60 differences of .1 under each seed; then shifts of -.12, 0 and +.12 by seed."""
    clusters, seeds = list(range(60)) * 3, [seed for seed in range(3) for _ in range(60)]
    noise = np.tile(np.random.default_rng(0).normal(0, 0.1, 60), 3)
    steady = mean_over_seeds(noise + 0.1, clusters, seeds)
    scattered = mean_over_seeds(noise + 0.1 + 0.12 * (np.array(seeds) - 1), clusters, seeds)
    assert steady.value == pytest.approx(scattered.value)
    assert steady.low > 0 and steady.p < 0.001
    assert scattered.low < 0 and scattered.p > 0.1
    # 12 hundredths over the root of 3, times the quantile of 2 degrees of freedom
    assert scattered.high - scattered.value == pytest.approx(4.303 * 0.12 / 3**0.5, rel=0.1)


def test_constant_values_have_no_interval():
    assert mean_over_seeds([0.0] * 4, [1, 2, 1, 2], [0, 0, 1, 1]) == (0, 0, 0, 1)
    assert mean_over_seeds([0.5] * 4, [1, 2, 1, 2], [0, 0, 1, 1]) == (0.5, 0.5, 0.5, 0)


def test_the_interval_and_the_p_value_agree():
    random = np.random.default_rng(1)
    for _ in range(20):
        values = random.normal(0.03, 0.1, 60)
        found = mean_over_seeds(values, list(range(20)) * 3, [seed for seed in range(3) for _ in range(20)])
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


@pytest.mark.parametrize("seed_sd", [0.0, 0.124])
def test_intervals_cover_the_true_mean(seed_sd):
    """Problems shared by three seeds. Resampling problems within each seed covers the mean in .78 to .88 of such cases,
    and resampling three seeds in .79 where they scatter."""
    random, covered, runs = np.random.default_rng(0), 0, 150
    for _ in range(runs):
        shared, shift = random.normal(0, 0.1, 40), random.normal(0, seed_sd, 3)
        values = 0.05 + shared[None] + shift[:, None] + random.normal(0, 0.15, (3, 40))
        found = mean_over_seeds(values.ravel(), list(range(40)) * 3, [seed for seed in range(3) for _ in range(40)])
        covered += found.low <= 0.05 <= found.high
    assert covered / runs > 0.9


def test_detectable_difference():
    """An interval of +-.0196 has a standard error of .01; 80 % power needs 2.8 of them."""
    assert detectable(-0.0196, 0.0196) == pytest.approx(0.028, abs=1e-4)
