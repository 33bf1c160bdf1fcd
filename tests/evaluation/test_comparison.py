import pytest
from pydantic import ValidationError

from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.suite import Suite

SUITES = {
    "too few samples": {"metrics": ["pass@1", "maj@9"]},
    "greedy": {"temperature": 0},
    "pass@0": {"metrics": ["pass@0"]},
    "unknown metric": {"metrics": ["best@2"]},
    "no metric": {"metrics": []},
    "no problems": {"problems": []},
}
COMPARISONS = {
    "arm twice": {"arms": ["base", "base"]},
    "problems twice": {"suite": {"problems": ["p", "p"]}},
    "unknown arm": {"compare": [["astra_rl", "base"]]},
    "unknown baseline": {"equal_tokens": [["astro_rl", "other"]]},
    "samples for unknown arm": {"samples_for": {"bases": 9}},
    "fewer samples": {"samples_for": {"base": 4}},
    "more greedy samples": {
        "suite": {"problems": ["p"], "temperature": 0, "samples": 1},
        "samples_for": {"base": 8},
    },
    "with itself": {"compare": [["base", "base"]]},
}


@pytest.mark.parametrize("case", SUITES)
def test_a_suite_that_cannot_be_measured_is_refused(case, golden):
    with pytest.raises(ValidationError) as caught:
        Suite(**{"problems": ["test"]} | SUITES[case])
    golden("\n".join(error["msg"] for error in caught.value.errors()))


def test_title_of_a_suite_is_its_name_or_its_problems():
    assert Suite(problems=["a", "b"]).title == "a + b"
    assert Suite(problems=["a"], name="math").title == "math"


@pytest.mark.parametrize("case", COMPARISONS)
def test_an_inconsistent_comparison_is_refused(case, golden):
    fields = {"suite": {"problems": ["p"]}, "arms": ["base", "astro_rl"]}
    with pytest.raises(ValidationError) as caught:
        Comparison(**fields | COMPARISONS[case])
    golden("\n".join(error["msg"] for error in caught.value.errors()))
