import numpy as np
import pytest
from scipy.stats import bootstrap, pearsonr

from astro_factory.evaluation.intervals import Bootstrap
from astro_factory.evaluation.report_tables import ENOUGH_CLUSTERS


def test_value_is_the_mean_and_the_same_seed_the_same_interval():
    values = [0.0, 0.25, 1.0, 0.5]
    interval = Bootstrap(range(4), seed=1).interval(values)
    assert interval.value == pytest.approx(0.4375)
    assert interval.low < interval.value < interval.high
    assert interval == Bootstrap(range(4), seed=1).interval(values)
    assert interval != Bootstrap(range(4), seed=2, resamples=50).interval(values)


def test_width_is_that_of_the_standard_error():
    values = np.random.default_rng(0).random(400)
    interval = Bootstrap(range(400), seed=0).interval(values)
    expected = 2 * 1.96 * values.std() / 20
    assert interval.high - interval.low == pytest.approx(expected, rel=0.08)


def test_equal_values_and_single_problems_have_no_width():
    assert Bootstrap(range(9), seed=0).interval([0.5] * 9) == (0.5, 0.5, 0.5)
    assert Bootstrap(["p"], seed=0).interval([0.3]) == (0.3, 0.3, 0.3)


def test_a_paired_difference_is_resampled_with_its_problems():
    """Two arms that differ by the same amount everywhere differ surely, however much problems vary."""
    bootstrap, values = Bootstrap(range(50), seed=0), np.random.default_rng(1).random(50)
    low, high = bootstrap.interval((values + 0.1) - values)[1:]
    assert low == pytest.approx(0.1) and high == pytest.approx(0.1)


def test_interval_is_scipys():
    values = np.random.default_rng(2).random(60) ** 2
    found = Bootstrap(range(60), seed=0, resamples=20_000).interval(values)
    theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    assert found.low == pytest.approx(theirs.low, abs=0.003) and found.high == pytest.approx(theirs.high, abs=0.003)


def test_a_statistic_of_columns_is_resampled_by_problem():
    random = np.random.default_rng(3)
    x = random.normal(size=(80, 1))
    y = x + random.normal(size=(80, 1))
    study = Bootstrap(range(80), seed=0)
    found = study.statistic([x, y], lambda a, b: float(np.corrcoef(a.ravel(), b.ravel())[0, 1]))
    exact = pearsonr(x.ravel(), y.ravel())
    fisher = exact.confidence_interval(0.95)
    assert found.value == pytest.approx(exact.statistic)
    assert found.low == pytest.approx(fisher.low, abs=0.05) and found.high == pytest.approx(fisher.high, abs=0.05)
    means = study.statistic([x], lambda column: float(column.mean()))
    assert means == pytest.approx(study.interval(x.ravel()))
    assert np.isnan(study.statistic([x], lambda column: float("nan")).value)


def coverage(make, count: int = 400) -> float:
    """How often the interval holds the true mean, 0.5, in simulated studies; `make` gives (values, clusters)."""
    hits = 0
    for study in range(count):
        values, clusters = make(np.random.default_rng(study))
        _, low, high = Bootstrap(clusters, seed=study, resamples=400).interval(values)
        hits += low <= 0.5 <= high
    return hits / count


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_claim():
    """A hundred problems of different difficulty, eight samples each; the error of 2000 studies is about 0.005."""

    def study(random):
        difficulty = random.beta(0.8, 0.8, size=100)
        return random.binomial(8, difficulty) / 8, range(100)

    assert 0.93 <= coverage(study, 2000) <= 0.97


def dependent(clusters: int, known: bool = True):
    """A study of six problems in each cluster that are equally hard; `known` is whether the clusters are given."""

    def study(random):
        difficulty = np.repeat(random.beta(0.8, 0.8, size=clusters), 6)
        return random.binomial(4, difficulty) / 4, np.arange(6 * clusters) // 6 if known else range(6 * clusters)

    return study


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [ENOUGH_CLUSTERS, 60])
def test_intervals_of_clusters_hold_the_truth_as_often_as_they_claim(clusters):
    assert 0.93 <= coverage(dependent(clusters), 2000) <= 0.97


def test_few_clusters_or_unknown_ones_make_intervals_too_narrow():
    """Why few are warned of, and why `cluster` is worth naming."""
    assert coverage(dependent(10), 1000) < 0.93
    assert coverage(dependent(50, known=False), 100) < 0.8
