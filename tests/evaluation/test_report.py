"""Numbers of a report against samples that were made by hand."""

import json
import random

import pytest

from astro_factory.core.problems import Problem
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.metrics import interpolated, metric_name, solved_at
from astro_factory.evaluation.report import report_from_samples
from astro_factory.evaluation.samples import LATER_MEASURES, MEASURES, cluster_of, sample_schema


def rows_of(arm: str, problem: str, outcomes: str, *, tokens: int = 10, backtracks=None, **more) -> list[dict]:
    """One sample a letter: c(orrect), w and v (two wrong answers), n(o answer), t(imeout), l(ong, cut off)."""
    meaning = {
        "c": ("correct", "4", "eos"),
        "w": ("incorrect", "5", "eos"),
        "v": ("incorrect", "6", "eos"),
        "n": ("no_answer", "", "eos"),
        "t": ("timeout", "9^9", "eos"),
        "l": ("no_answer", "", "length"),
    }
    shared = {"source": "p", "problem": problem, "level": "", "cluster": problem, "verifier": "math", "arm": arm} | more
    rows = []
    for index, letter in enumerate(outcomes):
        outcome, extracted, finish = meaning[letter]
        own = {"sample": index, "seed": index, "text": "", "detail": "", "finish": finish, "extracted": extracted}
        own |= {"outcome": outcome, "tokens": tokens, "accepted": None, "fails_after": None} | dict.fromkeys(
            (*MEASURES, *LATER_MEASURES)
        )
        own["backtracks"] = backtracks and backtracks[index]
        rows.append(shared | own)
    return rows


def comparison(samples: int, arms=("a",), **settings) -> Comparison:
    suite = {"problems": ["p"], "samples": samples} | settings.pop("suite", {})
    return Comparison(suite=suite, arms=arms, **settings)


def report_of(samples: list[dict], compared: Comparison) -> dict:
    """The report as `report.json` holds it."""
    return json.loads(report_from_samples(samples, compared).to_json())


def values(report: dict, arm: str = "a") -> dict[str, float]:
    return {name: entry["value"] for name, entry in report["arms"][arm].items()}


def test_metrics_of_one_arm():
    samples = rows_of("a", "1", "ccwn") + rows_of("a", "2", "wwvl") + rows_of("a", "3", "cctt")
    report = report_of(samples, comparison(4, suite={"metrics": ["pass@1", "pass@2", "maj@4"]}))
    assert values(report) == pytest.approx(
        {
            "pass@1[avg-of-4]": 4 / 12,
            "pass@2[of-4]": (5 / 6 + 0 + 5 / 6) / 3,
            "maj@4[of-4]": (1 + 0 + 0.5) / 3,
            "tokens[mean]": 10,
            "truncated[share]": 1 / 12,
            "no_answer[share]": 2 / 12,
        },
        abs=1e-6,
    )
    assert report["outcomes"] == {"a": {"correct": 4, "incorrect": 4, "no_answer": 2, "timeout": 2}}
    assert report["problems"] == 3 and report["suite"] == "p" and report["correct_by_backtracks"] == {}
    entry = report["arms"]["a"]["pass@1[avg-of-4]"]
    assert 0 <= entry["low"] < entry["value"] < entry["high"] <= 1


def test_differences_are_paired_and_levels_stand_apart():
    samples = []
    for index in range(20):
        level, theirs = ("easy", "cw") if index % 2 else ("hard", "ww")
        samples += rows_of("b", str(index), theirs, level=level)
        samples += rows_of("a", str(index), theirs.replace("w", "c", 1), level=level, tokens=30)
    random.Random(0).shuffle(samples)
    report = report_of(samples, comparison(2, ("b", "a"), compare=[["a", "b"]]))
    assert list(report["arms"]) == ["b", "a"]
    paired = {entry["metric"]: entry for entry in report["paired"]}
    shown = {"arm": "a", "baseline": "b", "metric": "pass@1[avg-of-2]", "difference": 0.5, "low": 0.5, "high": 0.5}
    shown["detectable"] = None  # every problem differs by as much
    assert paired["pass@1[avg-of-2]"] == shown
    assert paired["tokens[mean]"]["difference"] == 20
    assert list(report["levels"]) == ["easy", "hard"] and report["sources"] == {}
    assert values(report["levels"]["hard"], "b")["pass@1[avg-of-2]"] == 0
    assert values(report["levels"]["easy"], "a")["pass@1[avg-of-2]"] == 1
    assert report["levels"]["hard"]["paired"][0]["difference"] == 0.5
    assert report_of(samples, comparison(2, ("b", "a"), suite={"levels": False}))["levels"] == {}


def test_sources_with_equal_identifiers_are_separate():
    samples = rows_of("a", "1", "c", source="x") + rows_of("a", "1", "w", source="y")
    report = report_of(samples, comparison(1, suite={"problems": ["x", "y"]}))
    assert report["problems"] == 2
    assert {name: values(part)["pass@1[avg-of-1]"] for name, part in report["sources"].items()} == {"x": 1, "y": 0}


def test_clusters_widen_intervals():
    samples = [row for i in range(40) for row in rows_of("a", str(i), "c" if i < 20 else "w", cluster=str(i // 10))]
    alone = [row | {"cluster": row["problem"]} for row in samples]
    wide, narrow = (report_of(rows, comparison(1))["arms"]["a"]["pass@1[avg-of-1]"] for rows in (samples, alone))
    assert wide["value"] == narrow["value"] == 0.5
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])


def test_equal_tokens_sets_one_answer_against_the_vote_it_pays_for():
    """The arm writes 25 tokens to the baseline's 10, so two and a half samples vote."""
    samples = rows_of("a", "1", "cw", tokens=25) + rows_of("b", "1", "ccwvwwnn")
    settings = {"equal_tokens": [["a", "b"]], "samples_for": {"b": 8}}
    report = report_of(samples, comparison(2, ("a", "b"), **settings))
    entry = report["equal_tokens"][0]
    assert entry["tokens"] == {"a": 25, "b": 10} and entry["votes"] == 2.5 and not entry["capped"]
    assert (entry["arm_metric"], entry["baseline_metric"]) == ("pass@1[avg-of-2]", "maj@2.50[of-8]")
    two = (1 + (2 * 3 / 2 + 2 * 1 / 2) + 2 * 2) / 28  # of 28 pairs: cc wins, cw and cv tie, c beats silence
    three = (6 + 0 + 2 * 3 / 3 + 2 * 2 * 3 / 2 + 2 * 2 * 1 / 2 + 2 * 1) / 56
    assert entry["baseline_value"]["value"] == pytest.approx((two + three) / 2, abs=1e-6)
    assert entry["difference"] == pytest.approx(0.5 - (two + three) / 2, abs=1e-6)
    assert entry["oracle_metric"] == "pass@2.50[of-8]"
    assert entry["oracle_value"]["value"] == pytest.approx((1 - 15 / 28 + 1 - 20 / 56) / 2, abs=1e-6)
    assert values(report, "b")["pass@1[avg-of-2]"] == 1.0  # the extra samples are the control's alone


@pytest.mark.parametrize(
    ("tokens", "votes", "capped", "metric"), [(90, 9, True, "maj@4[of-4]"), (5, 0.5, False, "maj@1[of-4]")]
)
def test_equal_tokens_says_when_samples_run_out(tokens, votes, capped, metric):
    samples = rows_of("a", "1", "cccc", tokens=tokens) + rows_of("b", "1", "cwvn")
    entry = report_of(samples, comparison(4, ("a", "b"), equal_tokens=[["a", "b"]]))["equal_tokens"][0]
    assert (entry["votes"], entry["capped"], entry["baseline_metric"]) == (votes, capped, metric)


def test_backtracks_are_set_against_verdicts():
    template = {"entry": "t.jinja", "sources": {"t.jinja": ""}}
    samples = rows_of("a", "1", "cwc", backtracks=[0, 2, 2]) + rows_of("a", "2", "wcl", backtracks=[0, 0, 5])
    report = report_of(samples, comparison(3, backtracks=template))
    assert values(report)["backtracks[mean]"] == 1.5
    assert report["correct_by_backtracks"]["a"] == {
        "0": {"samples": 3, "correct": pytest.approx(2 / 3, abs=1e-6)},
        "2": {"samples": 2, "correct": 0.5},
        "5": {"samples": 1, "correct": 0.0},
    }


def test_scores_between_whole_numbers_are_interpolated():
    rows = rows_of("a", "1", "cwww")
    at = [interpolated(solved_at, rows, k) for k in (1, 1.5, 2, 2.75, 3)]
    assert at == pytest.approx([0.25, 0.375, 0.5, 0.6875, 0.75])


@pytest.mark.parametrize(
    ("kind", "k", "name"), [("pass", 1, "pass@1[avg-of-16]"), ("pass", 8, "pass@8[of-16]"), ("maj", 1, "maj@1[of-16]")]
)
def test_names_carry_their_definition(kind, k, name):
    assert metric_name(kind, k, 16) == name


def test_clusters_are_named_by_the_problems_info():
    problem = Problem("x", "?", "1", "countdown", {"numbers": [4, 10, 3], "target": 17})
    other = Problem("y", "?", "1", "countdown", {"numbers": [3, 4, 10], "target": 9})
    assert cluster_of("p", problem, "numbers") == cluster_of("q", other, "numbers")
    assert cluster_of("p", problem, "") == cluster_of("p", problem, "nothing") == "p/x"


def test_the_columns_are_those_of_a_row():
    assert set(rows_of("a", "1", "c")[0]) == set(sample_schema().names)


@pytest.mark.parametrize(
    "dropped, said",
    [
        (("b", "2", 1), "arm 'b' has 1 samples of problem '2' of 'p' and 2 of others"),
        (("b", "2", None), "arm 'b' has 0 samples of problem '2' of 'p' and 2 of others"),
        (("b", None, None), "arm 'b' has 0 samples of problem '1' of 'p' and 0 of others"),
        ((None, None, None), "there are no samples"),
    ],
)
def test_samples_that_are_missing_are_named(dropped, said):
    samples = [row for arm in "ab" for problem in "12" for row in rows_of(arm, problem, "cw")]
    kept = [
        row
        for row in samples
        if any(
            want is not None and row[name] != want
            for name, want in zip(("arm", "problem", "sample"), dropped, strict=True)
        )
    ]
    with pytest.raises(ValueError, match=said):
        report_of(kept, comparison(2, ("a", "b"), equal_tokens=[("a", "b")]))


def test_responses_without_tokens_cost_at_least_one():
    samples = rows_of("a", "1", "cc", tokens=3) + rows_of("b", "1", "cw", tokens=0)
    (entry,) = report_of(samples, comparison(2, ("a", "b"), equal_tokens=[("a", "b")]))["equal_tokens"]
    assert (entry["votes"], entry["capped"]) == (3, True)
