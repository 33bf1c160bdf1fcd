"""Curves across runs of a stage."""

import pytest

from astro_factory.runtime.stored_curve import CURVE, StoredCurve


def run(folder, *steps: int) -> list[int]:
    curve = StoredCurve(folder)
    for step in steps:
        curve.add(step, {"loss": 1.0})
    return [point["step"] for point in curve.points()]


@pytest.mark.parametrize(
    ("runs", "steps"),
    [
        ([[1, 2, 3]], [1, 2, 3]),
        ([[1, 2, 2, 3], [3, 4]], [1, 2, 2, 3, 4]),  # two points of one step: rollouts and measures
        ([[1, 2, 3], [1, 2]], [1, 2]),
        ([[20, 40], [40, 60], [60, 80]], [20, 40, 60, 80]),
        ([[1, 2], []], [1, 2]),  # it was killed after its last step
    ],
)
def test_a_step_that_is_made_again_counts_once(tmp_path, runs, steps):
    for number in runs:
        found = run(tmp_path, *number)
    assert found == steps


def test_measures_of_a_long_run_are_thinned(tmp_path):
    curve = StoredCurve(tmp_path)
    for step in range(10):
        curve.add(step, {"loss": 1.0})
        curve.add(step, {"rollouts": []})
    assert [point["step"] for point in curve.measures(4)] == [0, 3, 6, 9]
    assert curve.measures(10) == [{"step": step, "loss": 1.0} for step in range(10)]


@pytest.mark.parametrize("cut", range(1, 26))
def test_a_torn_line_is_left_out(tmp_path, cut):
    run(tmp_path, 1, 2)
    path = tmp_path / CURVE
    path.write_bytes(path.read_bytes()[:-cut])
    kept = [1] if cut > 1 else [1, 2]  # the last character is the end of the line
    assert run(tmp_path) == kept
    assert run(tmp_path, 3) == [*kept, 3] == run(tmp_path)
