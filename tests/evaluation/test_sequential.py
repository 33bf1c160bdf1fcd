"""Sampling until the check accepts, against a plain simulation of every run."""

import random

import numpy as np
import pytest

from astro_factory.core.problems import Problem
from astro_factory.evaluation.report_schema import Report
from astro_factory.evaluation.report_tables import comparison_text, headline_grids
from astro_factory.evaluation.sequential import Attempts, has_check, one_response
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.domain_check import domain_check
from tests.evaluation.test_report import comparison, report_of, rows_of


def checked(rows: list[dict], tokens=None) -> list[dict]:
    """The check accepts what is correct."""
    costs = tokens or [row["tokens"] for row in rows]
    return [row | {"accepted": row["outcome"] == "correct", "tokens": n} for row, n in zip(rows, costs, strict=True)]


def test_a_run_by_hand():
    attempts = Attempts([checked(rows_of("a", "1", "wwc"), tokens=[10, 20, 30])])
    # from the first sample 10 + 20 + 30 tokens, from the second 20 + 30, from the third 30
    for limit, correct, tokens in ((29, 0, 29), (30, 1 / 3, 30), (50, 2 / 3, (50 + 50 + 30) / 3), (60, 1, 140 / 3)):
        found = attempts.at(limit)
        assert (found.correct[0], found.tokens[0], found.exhausted[0]) == pytest.approx((correct, tokens, 0))


def test_runs_without_samples_left_are_counted():
    found = Attempts([checked(rows_of("a", "1", "ww")), checked(rows_of("a", "2", "cw"))]).at(100)
    assert found.exhausted.tolist() == [1, 0]
    assert found.tokens.tolist() == [20, 15]  # a run that starts with the wrong sample needs both


@pytest.mark.parametrize("problems", [["www"], ["www", "www"], ["www", "cwc"]])
@pytest.mark.parametrize("early", [None, 2.7])
def test_a_budget_that_the_samples_cannot_spend_exhausts_them(problems, early):
    """Also where all samples cost the same, so that a budget of just all of them looks as if it were spent."""
    rows = [checked(rows_of("a", str(place), outcomes)) for place, outcomes in enumerate(problems)]
    attempts = Attempts([[row | {"fails_after": early} for row in own] for own in rows], check_steps=early is not None)
    limit = attempts.limit_for(100)
    assert attempts.at(limit).exhausted.tolist() == [outcomes == "www" for outcomes in problems]
    assert attempts.at(limit).tokens == pytest.approx(attempts.at(10**6).tokens)
    assert not attempts.at(attempts.limit_for(5)).exhausted.any()


def test_a_check_may_accept_a_wrong_answer():
    rows = [row | {"accepted": True} for row in rows_of("a", "1", "wc")]
    assert Attempts([rows]).at(100).correct.tolist() == [0.5]


@pytest.mark.parametrize("seed", range(5))
def test_equals_a_simulation(seed):
    rng = random.Random(seed)
    problems = []
    for name in "123":
        rows = rows_of("a", name, "".join(rng.choices("cwn", k=6)))
        problems.append([row | {"accepted": rng.random() < 0.4, "tokens": rng.randint(1, 30)} for row in rows])
    attempts = Attempts(problems)
    for limit in (1, 17, 40, 80, 500):
        found = attempts.at(limit)
        assert found.correct == pytest.approx(
            [np.mean([run[0] for run in simulated(rows, limit)]) for rows in problems]
        )
        assert found.tokens == pytest.approx([np.mean([run[1] for run in simulated(rows, limit)]) for rows in problems])
    budget = attempts.limit_for(25)
    assert attempts.at(budget).tokens.mean() <= 25 < attempts.at(budget + 1).tokens.mean()


def simulated(rows: list[dict], limit: int):
    for start in range(len(rows)):
        spent = 0
        for row in rows[start:] + rows[:start]:
            if spent + row["tokens"] > limit:
                yield False, limit
                break
            spent += row["tokens"]
            if row["accepted"]:
                yield row["outcome"] == "correct", spent
                break
        else:
            yield False, spent


def test_a_single_response_is_cut_at_the_limit():
    rows = [row | {"tokens": tokens} for row, tokens in zip(rows_of("a", "1", "ccw"), (10, 30, 20), strict=True)]
    found = one_response([rows], 20)
    assert (found.correct.tolist(), found.tokens.tolist()) == ([1 / 3], [50 / 3])


def test_the_report_has_the_control_and_its_curves():
    samples = [*checked(rows_of("a", "1", "cc", tokens=30)), *checked(rows_of("b", "1", "wcww", tokens=10))]
    compared = comparison(2, arms=("a", "b"), equal_tokens=[("a", "b")], samples_for={"b": 4}, suite={"max_tokens": 40})
    report = report_of(samples, compared)
    (control,) = (entry["sample_and_check"] for entry in report["equal_tokens"])
    assert (control["limit"], control["value"]["value"], control["difference"]) == (40, 1, 0)
    assert control["tokens"] == 25  # of runs of 20, 10, 40 and 30 tokens
    curves = {(curve["arm"], curve["control"]): curve["points"] for curve in report["curves"]}
    assert [point["limit"] for point in curves["a", "one_response"]] == [10, 15, 20, 30, 40]
    assert [point["value"]["value"] for point in curves["a", "one_response"]] == [0, 0, 0, 1, 1]
    assert [point["value"]["value"] for point in curves["b", "sample_and_check"]][:5] == [0.25, 0.25, 0.5, 0.75, 1]


def test_a_run_without_samples_left_may_have_become_right_or_not():
    """The control has not spent as many tokens as the arm, so its value is only known to lie between the two."""
    samples = [row for name in "123456" for row in checked(rows_of("a", name, "cc", tokens=60))]
    samples += [row for name in "12345" for row in checked(rows_of("b", name, "wwcw", tokens=10))]
    samples += checked(rows_of("b", "6", "wwww", tokens=10))
    compared = comparison(2, arms=("a", "b"), equal_tokens=[("a", "b")], samples_for={"b": 4}, suite={"max_tokens": 80})
    report = report_of(samples, compared)
    (control,) = (entry["sample_and_check"] for entry in report["equal_tokens"])
    assert (control["tokens"], control["exhausted"]) == pytest.approx((27.5, 1 / 6), abs=1e-4)
    assert control["difference"] == pytest.approx(1 / 6, abs=1e-4)
    assert control["low"] == 0 and control["high"] > 1 / 6  # had they been right, the arm would not be better
    warnings = comparison_text(Report.model_validate(report))
    assert "a - b: too few samples for 17% of the runs of sample_and_check" in warnings


def test_a_check_of_the_steps_does_not_pay_for_the_rest_of_a_failed_attempt():
    rows = [
        row | {"fails_after": cost}
        for row, cost in zip(checked(rows_of("a", "1", "wcw"), [10, 20, 30]), (4, None, 6), strict=True)
    ]
    for check_steps, tokens in ((False, [30, 20, 60]), (True, [24, 20, 30])):
        found = Attempts([rows], check_steps).at(100)
        assert (found.correct.tolist(), found.tokens.tolist()) == ([1], [sum(tokens) / 3])


def test_the_report_has_both_controls_where_steps_show_failures():
    samples = [*checked(rows_of("a", "1", "cc", tokens=30)), *checked(rows_of("b", "1", "wcww", tokens=10))]
    samples = [row | {"fails_after": None if row["accepted"] else 5.0} for row in samples]
    compared = comparison(2, arms=("a", "b"), equal_tokens=[("a", "b")], samples_for={"b": 4}, suite={"max_tokens": 40})
    (entry,) = report_of(samples, compared)["equal_tokens"]
    assert (entry["sample_and_check"]["tokens"], entry["check_steps"]["tokens"]) == (25, 17.5)
    lines = str(headline_grids(Report.model_validate(report_of(samples, compared))))
    assert "a - sampling b until the check accepts" in lines and "a - sampling b with a check of its steps" in lines
    controls = [curve["control"] for curve in report_of(samples, compared)["curves"] if curve["arm"] == "b"]
    assert controls == ["one_response", "sample_and_check", "check_steps"]


def test_tokens_up_to_a_failure_are_counted_by_words_and_line_breaks():
    problem = Problem("p", "", "", "countdown", info={"numbers": [1, 2, 3], "target": 7})
    failed = "1 + 2 = 3 left 3 3\n3 + 3 = 6 left 6\nanswer ( 1 + 2 ) + 3"
    assert domain_check(problem, failed, tokens=26) == {"accepted": False, "fails_after": 16.0}
    solved = "1 + 2 = 3 left 3 3\n3 + 3 = 6 left 6\nanswer 1 + ( 2 * 3 )"
    assert domain_check(problem, solved, tokens=26) == {"accepted": True, "fails_after": None}
    assert domain_check(problem, "no idea", tokens=3) == {"accepted": False, "fails_after": None}
    unchecked = Problem("p", "", "", "math", info={})
    assert domain_check(unchecked, failed, tokens=26) == {"accepted": None, "fails_after": None}


def test_a_domain_without_a_check_has_no_such_control():
    samples = [row | {"accepted": None} for row in rows_of("a", "1", "cc") + rows_of("b", "1", "cw")]
    report = report_of(samples, comparison(2, arms=("a", "b"), equal_tokens=[("a", "b")]))
    assert "sample_and_check" not in report["equal_tokens"][0]
    assert {curve["control"] for curve in report["curves"]} == {"one_response"}
    del samples[0]["accepted"]  # as in files of earlier versions
    assert not has_check([samples])


def test_countdown_checks_without_the_known_answer():
    asked = Problem("1", "numbers 2 3 target 5", "", "countdown", {"numbers": [2, 3], "target": 5})
    accepts = get_verifier("countdown").accepts
    assert accepts(asked, "2 + 3 = 5 left 5\nanswer 2 + 3") is True
    assert accepts(asked, "3 - 2 = 1 left 1\nanswer 3 - 2") is False
    assert accepts(asked, "nothing") is False


def test_most_domains_have_no_check():
    assert get_verifier("math").accepts(Problem("1", "What is 1 + 1?", "2", "math", {}), "\\boxed{2}") is None
