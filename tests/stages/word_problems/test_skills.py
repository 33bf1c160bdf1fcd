import re
from random import Random

import pytest

from astro_factory.stages.word_problems.families import FAMILIES
from astro_factory.stages.word_problems.skills import SKILLS, draw, wrong_plan
from astro_factory.verifiers.countdown import calculate
from astro_factory.verifiers.splits import split_of

EVEN = dict.fromkeys(FAMILIES, 1.0)


def documents(skill, count=200):
    random = Random(1)
    found = []
    while len(found) < count:
        if document := SKILLS[skill](random, EVEN):
            found.append(document)
    return found


@pytest.mark.parametrize("skill", SKILLS)
def test_every_calculation_is_right(skill):
    for _, text in documents(skill):
        found = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", text)
        assert found or skill in ("solve", "judge")
        for left, operator, right, result in found:
            assert calculate(int(left), operator, int(right), 999) == int(result)
        for left, operator, right in re.findall(r"(\d+) ([-+*/]) (\d+) is not possible", text):
            assert calculate(int(left), operator, int(right), 999) is None


@pytest.mark.parametrize("skill", ["attempt", "series", "judge", "compare"])
def test_the_verdict_is_that_of_the_comparison(skill):
    texts = [text for _, text in documents(skill)]
    ends = [end for text in texts for end in re.findall(r"= (\d+)\. (Yes|No)\.", text)]
    assert {verdict for _, verdict in ends} == {"Yes", "No"}
    assert all((difference == "0") == (verdict == "Yes") for difference, verdict in ends)


def test_nothing_is_tried_again():
    for skill in SKILLS:
        for question, text in documents(skill, 100):
            attempts = question.count("\n") if skill == "series" else 1
            assert len(re.findall(r"\\boxed", text)) <= attempts
            assert "again" not in text


def test_solutions_are_right_and_attempts_often_wrong():
    assert all("Check" not in text for _, text in documents("solve"))
    wrong = sum(text.endswith("No.") for _, text in documents("attempt"))
    assert 60 < wrong < 160


def test_practice_uses_training_structures_only():
    random = Random(2)
    found = [problem for _ in range(2000) if (problem := draw(random, EVEN))]
    assert {split_of(problem.structure) for problem in found} == {"train"}


def test_a_wrong_plan_differs_by_a_fault_that_the_check_can_show():
    random = Random(3)
    for problem in (problem for _ in range(500) if (problem := FAMILIES["undo"](random))):
        plan = wrong_plan(random, problem.plan)
        assert len(plan) in (len(problem.plan) - 1, len(problem.plan))
        assert plan[0].left == problem.plan[0].left
