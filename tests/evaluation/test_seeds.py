"""Means over problems and seeds: quantiles from tables, coverage by simulation."""

import numpy as np
import pytest

from astro_factory.evaluation.intervals import detectable
from astro_factory.evaluation.seeds import _t_quantile, _variance, mean_over_seeds


@pytest.mark.parametrize(
    "freedom, expected", [(1, 12.706), (2, 4.303), (5, 2.571), (30, 2.042), (1000, 1.962), (1e9, 1.960)]
)
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


@pytest.mark.parametrize("value, clusters, p", [(0.0, 2, 1), (1.0, 1, 1), (0.1, 2, 0.5), (-1.0, 12, 2**-11)])
def test_where_nothing_varies_the_number_of_clusters_decides(value, clusters, p):
    """All right against all wrong: with few problems even that is no evidence. .1 has no exact mean of three."""
    found = mean_over_seeds([value] * 3 * clusters, [*range(clusters)] * 3, np.repeat(range(3), clusters))
    assert found[:4] == pytest.approx((value, value, value, p))
    assert np.isnan(found.detectable)


def test_without_a_value_there_is_no_mean():
    with pytest.raises(ValueError, match="no problem is in both"):
        mean_over_seeds([], [], [])


def test_one_problem_has_an_interval_over_seeds_alone():
    found = mean_over_seeds([0.1, 0.2, 0.3], ["c"] * 3, [0, 1, 2])
    assert found.high - found.value == pytest.approx(4.303 * 0.1 / 3**0.5, rel=1e-3)


@pytest.mark.parametrize("seed_sd", [0.0, 0.2])
def test_a_detectable_mean_is_found_in_four_of_five_cases(seed_sd):
    """Also where the interval rests on three seeds: there the quantiles of the normal distribution would ask for 15 %
    more. The variance of problems is known to be small then, so the degrees of freedom are 2."""
    random, runs = np.random.default_rng(3), 60
    error = (0.1**2 / 40 + seed_sd**2 / 3) ** 0.5
    true, found = (2.8 if seed_sd == 0 else 4.303 + 1.061) * error, []
    for _ in range(runs):
        values = true + random.normal(0, 0.1, 40)[None] + random.normal(0, seed_sd, 3)[:, None] + np.zeros((3, 40))
        found.append(mean_over_seeds(values.ravel(), list(range(40)) * 3, np.repeat(range(3), 40)))
    assert np.median([one.detectable for one in found]) == pytest.approx(true, rel=0.2)
    assert np.mean([one.p < 0.05 for one in found]) == pytest.approx(0.8, abs=0.1)


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


@pytest.mark.parametrize("sizes", [[100] + [1] * 40, [40, 20, 10, 5, 1, 1, 1, 1, 1]])
def test_a_few_large_clusters_are_few(sizes):
    """Counted like the small ones, the large clusters cover the mean in .26 and .81 of such cases."""
    random, covered, runs = np.random.default_rng(5), 0, 60
    clusters, seeds = np.repeat(range(len(sizes)), sizes), np.repeat(range(3), sum(sizes))
    for _ in range(runs):
        values = random.normal(0, 0.1, len(sizes))[clusters] + random.normal(0, 0.1, (3, len(clusters)))
        found = mean_over_seeds(values.ravel(), [*clusters] * 3, seeds)
        covered += found.low <= 0 <= found.high
    assert covered / runs > 0.88


@pytest.mark.parametrize("sizes", [[1] * 7, [4, 4], [5, 3, 2, 1, 1, 1], [9, 1]])
def test_variance_and_freedom_are_those_of_bell_and_mccaffrey(sizes):
    """From their matrices: residuals of the mean, each cluster's divided by the root of one less its leverage."""
    share = np.array(sizes) / sum(sizes)
    values = np.random.default_rng(6).normal(0, 1, sum(sizes))
    clusters = np.repeat(range(len(sizes)), sizes)
    indicator = (clusters[:, None] == np.arange(len(sizes))).astype(float)
    residual = np.eye(len(values)) - 1 / len(values)
    rows = (indicator / (1 - share) ** 0.5).T @ residual
    covariance = rows @ rows.T
    variance, freedom = _variance(values, list(clusters))
    assert variance == pytest.approx(((rows @ values) ** 2).sum() / len(values) ** 2)
    assert freedom == pytest.approx(np.trace(covariance) ** 2 / (covariance**2).sum())


def test_seeds_with_unequal_problems_count_by_their_problems():
    """A seed of 90 problems beside two of 5 is nearly alone, and its interval is wide."""
    seeds = [0] * 90 + [1] * 5 + [2] * 5
    values = np.array([0.1] * 90 + [0.3] * 5 + [-0.1] * 5) + np.random.default_rng(7).normal(0, 0.01, 100)
    found = mean_over_seeds(values, range(100), seeds)
    even = mean_over_seeds(values, range(100), [place % 3 for place in range(100)])
    assert found.high - found.low > 3 * (even.high - even.low)


def test_detectable_difference():
    """An interval of +-.0196 has a standard error of .01; 80 % power needs 2.8 of them."""
    assert detectable(-0.0196, 0.0196) == pytest.approx(0.028, abs=1e-4)
