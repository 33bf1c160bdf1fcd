"""The comparison of a sweep's variants."""

from random import Random

import pytest

from astro_factory.evaluation.variants import Repetition, VariantRuns, compare


def samples(seed: int, right: float, problems: int = 60, arm: str = "a", tokens: int = 10) -> list[dict]:
    """Four samples of each problem, of which about that share is right; problems differ in how hard they are."""
    rows = []
    for problem in range(problems):
        random = Random(f"{seed} {problem}")
        for sample in range(4):
            outcome = "correct" if random.random() < right * (0.5 + (problem % 2)) else "incorrect"
            rows.append(
                {"source": "s", "problem": f"p{problem}", "cluster": f"c{problem // 2}", "arm": arm, "sample": sample,
                 "tokens": tokens, "finish": "eos", "outcome": outcome, "extracted": "1", "backtracks": None}
            )  # fmt: skip
    return rows


def variant(name: str, right: float, baseline: bool = False, seeds: int = 3, **kind) -> VariantRuns:
    runs = [Repetition(str(seed), samples(seed, right, **kind), 100 * seed) for seed in range(seeds)]
    return VariantRuns({"template": name}, baseline, runs)


def test_each_variant_is_compared_with_the_baseline_on_the_same_problems_and_seeds():
    rows = compare([variant("better", 0.7), variant("base", 0.4, True), variant("same", 0.4)], ["pass@1"], 4)
    assert [row["settings"]["template"] for row in rows] == ["base", "better", "same"]
    base, better, same = rows
    assert "difference" not in base
    assert better["difference"] == pytest.approx(
        better["means"][base["metric"]] - base["means"][base["metric"]], abs=2e-6
    )
    assert 0 < better["low"] < better["difference"] < better["high"]
    assert better["p_holm"] < 1e-4
    half = (better["high"] - better["low"]) / 2  # Student's t: less than with the normal distribution's 2.8 / 1.96
    assert (1 + 1.061 / 4.303) * half < better["detectable"] < 2.8 / 1.96 * half
    assert "detectable" not in same  # nothing varies
    assert (same["difference"], same["low"], same["high"], same["p"], same["p_holm"]) == (0, 0, 0, 1, 1)
    assert (base["seeds"], base["problems"], base["search_tokens"]) == (3, 180, 100)
    assert base["means"]["tokens[mean]"] == 10


def test_intervals_know_of_seeds_that_differ():
    """The same mean difference; where one seed gives it all, the interval is wider."""
    even, uneven = variant("even", 0.6), variant("uneven", 0.4)
    uneven.repetitions[0].samples = samples(0, 1.0)
    base = variant("base", 0.4, True)
    wide, narrow = (
        next(r for r in compare([base, other], ["pass@1"], 4) if not r["baseline"]) for other in (uneven, even)
    )
    assert wide["high"] - wide["low"] > 1.5 * (narrow["high"] - narrow["low"])
    assert wide["low"] <= 0 < narrow["low"]
    assert wide["by_seed"]["0"] > max(wide["by_seed"][seed] for seed in ("1", "2"))
    assert wide["means"][wide["metric"]] == pytest.approx(sum(wide["by_seed"].values()) / 3, abs=2e-6)


def test_a_missing_repetition_leaves_the_others(tmp_path):
    short = variant("short", 0.7)
    del short.repetitions[1:]
    found = compare([variant("base", 0.4, True), short], ["pass@1"], 4)[1]
    assert found["seeds"] == 1 and found["difference"] > 0


def test_variants_without_a_problem_in_common_are_not_compared():
    other = variant("other", 0.7)
    for repetition in other.repetitions:
        for row in repetition.samples:
            row["source"] = "t"
    rows = compare([variant("base", 0.4, True), other, variant("better", 0.7)], ["pass@1"], 4)
    assert [row.get("p_holm") is not None for row in rows] == [False, False, True]
    assert rows[2]["p_holm"] == rows[2]["p"]  # one comparison, no correction


def test_every_arm_has_its_rows():
    both = [Repetition("0", samples(0, 0.5) + samples(1, 0.5, arm="b"))]
    rows = compare([VariantRuns({"x": 1}, True, both), VariantRuns({"x": 2}, False, both)], ["pass@1", "maj@3"], 4)
    assert [(row["arm"], row["settings"]["x"]) for row in rows] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert "maj@3[of-4]" in rows[0]["means"]
