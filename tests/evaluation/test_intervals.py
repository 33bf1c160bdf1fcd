import numpy as np
import pytest

from astro_factory.evaluation.intervals import Bootstrap


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


def coverage(make, count: int = 400) -> float:
    """How often the interval holds the true mean, 0.5, in simulated studies; `make` gives (values, clusters)."""
    hits = 0
    for study in range(count):
        values, clusters = make(np.random.default_rng(study))
        _, low, high = Bootstrap(clusters, seed=study, resamples=400).interval(values)
        hits += low <= 0.5 <= high
    return hits / count


def test_intervals_hold_the_truth_as_often_as_they_claim():
    """Sixty problems of different difficulty, eight samples each; the error of 400 studies is about 0.011."""

    def study(random):
        difficulty = random.beta(0.8, 0.8, size=60)
        return random.binomial(8, difficulty) / 8, range(60)

    assert 0.915 <= coverage(study) <= 0.975


def test_dependent_problems_need_clusters():
    def study(random, clustered):
        difficulty = np.repeat(random.beta(0.8, 0.8, size=50), 6)
        return random.binomial(4, difficulty) / 4, np.arange(300) // 6 if clustered else range(300)

    assert 0.90 <= coverage(lambda random: study(random, True), 300) <= 0.98
    assert coverage(lambda random: study(random, False), 100) < 0.8
