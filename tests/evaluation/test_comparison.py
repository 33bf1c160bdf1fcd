import pytest
from pydantic import ValidationError

from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.suite import Suite


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"metrics": ["pass@1", "maj@9"]}, "maj@9 needs at least 9 samples; set samples to 9 or more"),
        ({"temperature": 0}, "at temperature 0 all samples of a problem are equal; set samples to 1"),
        ({"metrics": ["pass@0"]}, "String should match pattern"),
        ({"metrics": ["best@2"]}, "String should match pattern"),
        ({"metrics": []}, "at least 1 item"),
        ({"problems": []}, "at least 1 item"),
    ],
)
def test_a_suite_that_cannot_be_measured_is_refused(settings, error):
    with pytest.raises(ValidationError, match=error):
        Suite(**{"problems": ["test"]} | settings)


def test_a_suite_is_called_by_its_name_or_its_problems():
    assert Suite(problems=["a", "b"]).title == "a + b"
    assert Suite(problems=["a"], name="math").title == "math"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"arms": ["base", "base"]}, "'base' stands twice in arms"),
        ({"suite": {"problems": ["p", "p"]}}, "'p' stands twice in problems"),
        ({"compare": [["astra_rl", "base"]]}, "'astra_rl' is not one of the arms; did you mean 'astro_rl'?"),
        ({"equal_tokens": [["astro_rl", "other"]]}, "'other' is not one of the arms; choices: astro_rl, base"),
        ({"samples_for": {"bases": 9}}, "'bases' is not one of the arms; did you mean 'base'?"),
        ({"samples_for": {"base": 4}}, "samples_for.base is less than the suite's 8 samples"),
        ({"compare": [["base", "base"]]}, "'base' is compared with itself"),
    ],
)
def test_a_comparison_that_names_what_is_not_there_is_refused(settings, error):
    fields = {"suite": {"problems": ["p"]}, "arms": ["base", "astro_rl"]}
    with pytest.raises(ValidationError) as caught:
        Comparison(**fields | settings)
    assert error in str(caught.value)
