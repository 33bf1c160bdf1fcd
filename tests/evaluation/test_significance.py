import numpy as np
import pytest
from scipy.stats import false_discovery_control, permutation_test

from astro_factory.evaluation.significance import holm, sign_flip_p


@pytest.mark.parametrize("count", [2, 4, 9, 12])
def test_few_clusters_are_counted_out_as_scipy_does(count):
    values = np.random.default_rng(count).normal(0.5, size=count)
    exact = permutation_test(
        (values, np.zeros(count)), lambda a, b, axis: np.mean(a - b, axis), permutation_type="samples", vectorized=True
    )
    assert sign_flip_p(values, range(count), seed=0) == pytest.approx(exact.pvalue)


def test_many_clusters_are_sampled():
    values = np.random.default_rng(0).normal(0.2, size=80)
    sampled = permutation_test(
        (values, np.zeros(80)), lambda a, b, axis: np.mean(a - b, axis), permutation_type="samples", n_resamples=20_000
    )
    assert sign_flip_p(values, range(80), seed=0) == pytest.approx(sampled.pvalue, abs=0.015)


def test_problems_of_one_cluster_are_one_observation():
    assert sign_flip_p([0.1] * 6, range(6), seed=0) == pytest.approx(2 / 64)
    assert sign_flip_p([0.1] * 6, [0, 0, 0, 1, 1, 1], seed=0) == pytest.approx(0.5)
    assert sign_flip_p([0.0, 0.0], range(2), seed=0) == 1.0


@pytest.mark.slow
def test_equal_arms_are_called_different_as_rarely_as_promised():
    random = np.random.default_rng(5)
    found = [sign_flip_p(random.normal(size=12), range(12), seed=0) < 0.05 for _ in range(1000)]
    assert 0.03 < np.mean(found) < 0.07


@pytest.mark.parametrize(
    ("given", "corrected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([], []),
        ([0.001, 0.001, 0.2], [0.003, 0.003, 0.2]),
        ([0.02, 0.001], [0.02, 0.002]),
    ],
)
def test_holm_by_hand(given, corrected):
    assert holm(given) == pytest.approx(corrected)


def test_holm_is_never_milder_than_the_false_discovery_rate():
    values = np.random.default_rng(0).random(20) ** 3
    assert all(np.array(holm(values)) >= false_discovery_control(values) - 1e-12)
