"""Intervals of an extrapolation against the same quantities from tables, and their coverage."""

from random import Random

import pytest

from astro_factory.search.extrapolation import Speed, _t, mean_range, share_range

T_TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 5: 2.571, 10: 2.228, 30: 2.042, 200: 1.972}


@pytest.mark.parametrize(("freedom", "quantile"), T_TABLE.items())
def test_quantiles_of_students_t(freedom, quantile):
    assert _t(freedom) == pytest.approx(quantile, rel=1e-2)


def test_the_interval_of_a_share_is_wilsons():
    found = share_range(8, 10)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert share_range(0, 20).low == 0 and share_range(0, 20).high == pytest.approx(0.1611, abs=1e-4)


def test_intervals_contain_the_truth_as_often_as_they_say():
    random, hits = Random(0), 0
    for _ in range(400):
        found = mean_range([round(random.lognormvariate(5, 0.5)) for _ in range(12)])
        hits += found.low <= 168.2 <= found.high  # exp(5 + 0.5 ** 2 / 2)
    assert 0.9 <= hits / 400 <= 0.98


def test_speed_survives_an_interruption(tmp_path):
    assert Speed(tmp_path).tokens_per_s is None
    first = Speed(tmp_path)
    first.add(100, 2.0)
    first.add(200, 1.0)
    Speed(tmp_path).add(100, 1.0)
    assert Speed(tmp_path).tokens_per_s == 100
    (tmp_path / "speed.json").write_text("torn")
    assert Speed(tmp_path).tokens_per_s is None
