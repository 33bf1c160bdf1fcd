from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.countdown import reachable
from astro_factory.verifiers.countdown_puzzles import PuzzleRules, random_path, random_puzzle

COUNTDOWN = get_verifier("countdown")
PROBLEM = Problem("p", "numbers 4 10 3 target 17", "( 10 + 3 ) + 4", "countdown", {"numbers": [4, 10, 3], "target": 17})
PATH = ["10 + 3 = 13 left 4 13", "13 + 4 = 17 left 17"]


def problem_of(numbers, target=0, **info):
    return Problem("p", "", "", "countdown", {"numbers": list(numbers), "target": target, **info})


@st.composite
def puzzles(draw):
    """A solved puzzle of 2 to 5 numbers."""
    random = Random(draw(st.integers(0, 2**32)))
    rules = PuzzleRules(number_range=(0, 12))
    path = None
    while path is None:
        path = random_puzzle(random, rules, draw(st.integers(2, 5)), "train")
    return path


VERDICTS = [
    ("answer ( 10 + 3 ) + 4", Outcome.CORRECT, "17"),
    ("so\n  answer 10+3+4", Outcome.CORRECT, "17"),
    ("answer 4 + 3\nanswer ( 10 + 3 ) + 4", Outcome.CORRECT, "17"),
    ("answer ( 10 + 3 ) + 4\nanswer ( 10 - 3 ) - 4", Outcome.INCORRECT, "3"),
    ("answer ( 10 - 3 ) / 4", Outcome.INCORRECT, "7/4"),
    ("answer 10 + 3 + 4 + 4 - 4", Outcome.INCORRECT, "17 from 3 4 4 4 10"),
    ("answer 17", Outcome.INCORRECT, "17 from 17"),
    ("answer 10 + 3 +", Outcome.NO_ANSWER, ""),
    ("answer 10 / ( 3 - 3 ) + 4", Outcome.NO_ANSWER, ""),
    ("answer", Outcome.NO_ANSWER, ""),
    ("10 + 3 = 13 left 4 13", Outcome.NO_ANSWER, ""),
    ("the answer 10 + 3 + 4", Outcome.NO_ANSWER, ""),
    ("", Outcome.NO_ANSWER, ""),
]


@pytest.mark.parametrize(("response", "outcome", "extracted"), VERDICTS)
def test_verdict_is_on_the_last_answer_line(response, outcome, extracted):
    for text in (response, response + "\r\n", response.replace("\n", "\r\n")):
        verdict = COUNTDOWN.verify(PROBLEM, text)
        assert (verdict.outcome, verdict.extracted) == (outcome, extracted)


def test_verdict_says_why():
    assert COUNTDOWN.verify(PROBLEM, "answer 3 + 4").detail == "uses 3 4, not 3 4 10"
    assert COUNTDOWN.verify(PROBLEM, "answer 10 - 3 - 4").detail == "10 - 3 - 4 is 3, not 17"
    assert COUNTDOWN.verify(PROBLEM, "answer 1 +").detail == "cannot read the answer: the expression ends too early"
    assert COUNTDOWN.verify(PROBLEM, "answer 10 + 3 + 4") == Verdict(Outcome.CORRECT, "17", "10 + 3 + 4")


@given(st.text(), st.text())
def test_verify_never_raises(before, after):
    assert COUNTDOWN.verify(PROBLEM, f"{before}\nanswer {after}").outcome in Outcome


@given(puzzles())
def test_a_generated_solution_always_verifies_and_its_steps_rebuild_it(path):
    problem = problem_of(path.numbers, path.end)
    assert COUNTDOWN.verify(problem, path.solution).correct
    steps = []
    for step in path.steps:
        assert not COUNTDOWN.is_terminal(problem, steps)
        completed = COUNTDOWN.complete_step(problem, steps, f"{step.left} {step.operator} {step.right}")
        assert completed == step.text
        assert COUNTDOWN.complete_step(problem, steps, completed) == completed
        steps.append(completed)
        assert COUNTDOWN.facts(problem, steps)["left"] == " ".join(map(str, step.remaining))
    assert COUNTDOWN.is_terminal(problem, steps)
    assert COUNTDOWN.verify(problem, COUNTDOWN.closing(problem, steps)).correct


@given(puzzles(), st.data())
def test_a_number_used_twice_or_left_out_never_verifies(path, data):
    problem = problem_of(path.numbers, path.end)
    spare = data.draw(st.sampled_from(path.numbers))
    # Each of these keeps the value, so only the use of the numbers can give it away.
    assert not COUNTDOWN.verify(problem, f"answer ( {path.expression} ) + {spare} - {spare}").correct
    assert not COUNTDOWN.verify(problem, f"answer ( {path.expression} ) * ( {spare} - {spare} + 1 )").correct
    assert not COUNTDOWN.verify(problem, f"answer {path.end}").correct


STEPS = [
    ([], "10 + 3", "10 + 3 = 13 left 4 13"),
    ([], "10 + 3 = 99 left 1 2", "10 + 3 = 13 left 4 13"),
    ([], " 3+10 ", "3 + 10 = 13 left 4 13"),
    ([], "10 - 4", "10 - 4 = 6 left 3 6"),
    ([], "4 - 10", None),
    ([], "10 / 4", None),
    ([], "10 * 4", "10 * 4 = 40 left 3 40"),
    ([], "10 + 10", None),
    ([], "10 + 5", None),
    ([], "4 10 3", None),
    ([], "10 + 3 left 4", None),
    ([], "", None),
    (PATH[:1], "13 + 4 =", "13 + 4 = 17 left 17"),
    (PATH[:1], "13 * 4", None),
    (PATH[:1], "10 + 4", None),
    (PATH, "17 + 4", None),
]


@pytest.mark.parametrize(("steps", "text", "completed"), STEPS)
def test_complete_step(steps, text, completed):
    assert COUNTDOWN.complete_step(PROBLEM, steps, text) == completed


def test_steps_respect_the_problems_own_limit_and_never_divide_by_zero():
    assert COUNTDOWN.complete_step(problem_of([10, 4], max_value=39), [], "10 * 4") is None
    assert COUNTDOWN.complete_step(problem_of([10, 9, 8], max_value=100), [], "10 * 9") == "10 * 9 = 90 left 8 90"
    assert COUNTDOWN.complete_step(problem_of([4, 0]), [], "4 / 0") is None
    assert COUNTDOWN.complete_step(problem_of([4, 4, 5]), [], "4 - 4") == "4 - 4 = 0 left 5 0"


def test_closing_and_facts_of_a_wrong_path():
    steps = ["10 - 3 = 7 left 4 7", "7 - 4 = 3 left 3"]
    assert COUNTDOWN.closing(PROBLEM, steps) == "answer ( 10 - 3 ) - 4"
    assert COUNTDOWN.facts(PROBLEM, steps) == {"left": "3", "result": "3", "target": "17"}
    assert COUNTDOWN.facts(PROBLEM, []) == {"left": "4 10 3", "target": "17"}


def test_a_step_that_was_never_completed_is_a_defect():
    with pytest.raises(ValueError, match="not a step of this problem: '5 \\+ 5 = 10 left 10'"):
        COUNTDOWN.facts(PROBLEM, ["5 + 5 = 10 left 10"])


def test_check_problem():
    assert COUNTDOWN.check_problem(PROBLEM) is None
    assert COUNTDOWN.check_problem(problem_of([1, 2], 3)) is None
    wrong = Problem("p", "", "10 - 3 - 4", "countdown", PROBLEM.info)
    assert COUNTDOWN.check_problem(wrong) == "the answer '10 - 3 - 4' is wrong: 10 - 3 - 4 is 3, not 17"
    assert COUNTDOWN.check_problem(problem_of([1, True], 3)) == "info needs 'numbers', a list of whole numbers"
    assert COUNTDOWN.check_problem(problem_of([1, 2], "3")) == "info needs 'target', a whole number"
    assert (
        COUNTDOWN.check_problem(problem_of([1, 2], 3, max_value=None)) == "'max_value' in info has to be a whole number"
    )


@given(st.integers(0, 2**32), st.lists(st.integers(0, 12), min_size=2, max_size=5))
def test_a_random_path_is_allowed_in_every_step(seed, numbers):
    path = random_path(Random(seed), tuple(numbers), 40)
    if path is None:
        return
    problem, steps = problem_of(numbers, path.end), []
    for step in path.steps:
        steps.append(COUNTDOWN.complete_step(problem, steps, step.text))
    assert steps == [step.text for step in path.steps]
    assert COUNTDOWN.closing(problem, steps) == f"answer {path.expression}"


@given(puzzles())
def test_the_value_of_a_state_tells_whether_the_target_can_be_reached(path):
    """Every state on a solution's path is worth 1; the value of a last number is whether it is the target."""
    problem = problem_of(path.numbers, path.end)
    texts = [step.text for step in path.steps]
    for count, state in enumerate(path.states):
        assert COUNTDOWN.value(problem, texts[:count]) == (1.0 if len(state) <= COUNTDOWN.lookahead else None)
    assert COUNTDOWN.value(problem_of(path.numbers, path.end + 1), texts) == 0.0


def test_a_state_that_cannot_reach_the_target_is_worth_nothing():
    assert COUNTDOWN.value(PROBLEM, []) == COUNTDOWN.value(PROBLEM, PATH[:1]) == 1.0
    assert COUNTDOWN.value(PROBLEM, ["10 - 3 = 7 left 4 7"]) == 0.0
    assert reachable((3, 4), 40) == {1, 7, 12}
    assert reachable((3, 4), 10) == {1, 7}
