"""What stands beside the report, from samples made by hand."""

import json

import numpy as np
import pytest
from scipy.stats import pearsonr

from astro_factory.evaluation.analysis import analysis_from_samples
from astro_factory.evaluation.comparison import Comparison
from tests.evaluation.test_report import comparison, rows_of

TEMPLATE = {"entry": "t.jinja", "sources": {"t.jinja": ""}}


def analysis_of(samples: list[dict], compared: Comparison) -> dict:
    """The analysis as `analysis.json` holds it."""
    return json.loads(analysis_from_samples(samples, compared).to_json())


def test_every_comparison_of_scores_is_corrected_for_all_of_them():
    samples = []
    for index in range(20):
        samples += rows_of("base", str(index), "ww") + rows_of("a", str(index), "cw" if index < 12 else "ww")
        samples += rows_of("b", str(index), "cw" if index < 2 else "ww")
    settings = {"compare": [["a", "base"], ["b", "base"]], "suite": {"metrics": ["pass@1"]}}
    found = analysis_of(samples, comparison(2, ("base", "a", "b"), **settings))["differences"]
    assert [(entry["arm"], entry["metric"], entry["difference"]) for entry in found] == [
        ("a", "pass@1[avg-of-2]", 0.3),
        ("b", "pass@1[avg-of-2]", 0.05),
    ]
    assert found[0]["p"] == pytest.approx(2 / 2**12, abs=1e-6) and found[1]["p"] == 0.5
    assert found[0]["p_corrected"] == pytest.approx(4 / 2**12, abs=1e-6) and found[1]["p_corrected"] == 0.5
    assert found[0]["holds"] and not found[1]["holds"]


def test_backtracks_are_correlated_with_being_right():
    random, samples, counts, right = np.random.default_rng(0), [], [], []
    for index in range(40):
        backtracks = [int(n) for n in random.integers(0, 4, size=4)]
        letters = "".join("c" if random.random() < 0.2 + 0.2 * n else "w" for n in backtracks)
        samples += rows_of("a", str(index), letters, backtracks=backtracks)
        counts += backtracks
        right += [letter == "c" for letter in letters]
    found = analysis_of(samples, comparison(4, backtracks=TEMPLATE))["backtracks"]["arms"]["a"]
    exact = pearsonr(counts, np.array(right, float))
    assert found["samples"]["value"] == pytest.approx(exact.statistic, abs=1e-6)
    assert 0 < found["samples"]["low"] < exact.statistic < found["samples"]["high"] < 1
    assert found["within_problems"]["low"] > 0


def test_hard_problems_alone_correlate_across_problems_and_not_within():
    samples = []
    for index in range(30):
        letters, backtracks = ("cccw", [0, 1, 0, 1]) if index % 2 else ("wwwc", [4, 5, 5, 4])
        samples += rows_of("a", str(index), letters, backtracks=backtracks)
    found = analysis_of(samples, comparison(4, backtracks=TEMPLATE))["backtracks"]["arms"]["a"]
    assert found["samples"]["high"] < -0.3 and abs(found["within_problems"]["value"]) <= 0.6


def test_arms_of_rising_backtracks_and_score_correlate():
    samples = []
    for number, (arm, letters) in enumerate({"a": "wwww", "b": "cwww", "c": "ccww"}.items()):
        for index in range(12):
            samples += rows_of(arm, str(index), letters, backtracks=[number] * 4)
    found = analysis_of(samples, comparison(4, ("a", "b", "c"), backtracks=TEMPLATE))["backtracks"]
    assert found["between_arm_means"] == 1.0
    assert found["arms"]["a"] == {"samples": None, "within_problems": None}


def test_verdicts_are_shares_and_too_many_unjudged_are_reported():
    samples = rows_of("a", "1", "cwnt", level="easy") + rows_of("a", "2", "cccc", level="hard")
    found = analysis_of(samples, comparison(4))["verdicts"]["a"]
    assert found["shares"] == {"correct": 0.625, "incorrect": 0.125, "no_answer": 0.125, "timeout": 0.125}
    assert found["levels"]["hard"] == {"correct": 1.0} and found["too_many_unjudged"]
    assert not analysis_of(rows_of("a", "1", "cw"), comparison(2))["verdicts"]["a"]["too_many_unjudged"]
