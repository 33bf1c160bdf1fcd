"""Success by number of the attempt, on responses written by hand."""

from math import nan

import pytest

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome
from benchmarks.attempts import (
    Attempt,
    answered_by_match,
    exact_steps,
    in_context,
    independent,
    independent_repeats,
    passed_over,
)
from tests.verifiers.domains.attacks import CODE, GUESS
from tests.verifiers.domains.test_steps import TESTED

PUZZLE = Problem("p", "numbers 4 10 3 target 17", "", "countdown", info={"numbers": [4, 10, 3], "target": 17})
MISS = "10 - 3 = 7 left 4 7\n7 + 4 = 11 left 11"
OTHER_MISS = "10 - 4 = 6 left 3 6\n6 - 3 = 3 left 3"
HIT = "10 + 3 = 13 left 4 13\n13 + 4 = 17 left 17\nanswer ( 10 + 3 ) + 4"


def test_independent_samples_get_less_likely_to_succeed_after_failures():
    # one puzzle is always solved, one never, one by half of two samples
    assert independent([2, 0, 1], samples=2, most=2) == pytest.approx([1 / 2, (2 / 3 - 1 / 2) / (1 - 1 / 2)])


def test_independent_samples_repeat_too():
    """Rounds of a miss, the same miss, another miss and a hit: the run from the first sees one repeat at its second
    attempt, and the run from the third none, since it ends with the hit."""
    texts = [MISS, MISS, OTHER_MISS, HIT]
    rows = [{"text": text, "outcome": "correct" if text == HIT else "incorrect"} for text in texts]
    # second attempts: MISS after MISS repeats; OTHER after MISS, HIT after OTHER do not; the run from HIT has one
    assert independent_repeats([(PUZZLE, rows)], 3) == pytest.approx([0, 1 / 3, 0])


def test_after_a_certain_success_nothing_is_left_to_ask():
    assert independent([2, 2], samples=2, most=2) == pytest.approx([1, nan], nan_ok=True)
    assert independent([0], samples=2, most=2) == [0, 0]


def test_attempts_need_a_domain_with_states():
    with pytest.raises(SystemExit, match="'math' reads no states"):
        in_context([(Problem("m", "1 + 1 ?", "2", "math"), "2", Outcome.CORRECT)], 1)


def test_attempts_in_context_are_counted_by_states():
    responses = [
        (PUZZLE, HIT, Outcome.CORRECT),
        (PUZZLE, f"{MISS}\nAgain\n{HIT}", Outcome.CORRECT),
        (PUZZLE, f"{MISS}\nAgain\n{MISS}\nanswer ( 10 - 3 ) + 4", Outcome.INCORRECT),
        (PUZZLE, f"{MISS}\nwhatever it says\n{OTHER_MISS}\nAgain", Outcome.NO_ANSWER),
    ]
    assert in_context(responses, 3) == [
        Attempt(4, 0.25, 0, 0),
        Attempt(3, 1 / 3, 1 / 3, 1 / 3),
        Attempt(0, 0, 0, 0),
    ]


@pytest.mark.parametrize(
    ("problem", "text", "exact"),
    [
        (PUZZLE, f"{MISS}\nWait , 11 want 17 No .\nGo back to we had 4 10 3\n{HIT}", 1),
        (PUZZLE, "10 - 3 = 8 left 4 7\n7 + 4 = 11 left 11\nAgain\n10 - 3 = 7 left 4 8", 1 / 3),
        (GUESS, "try 8 : 24 29 1 , 32 33 6\nWait , 1 6 want 1 6 Yes .\nanswer 8", 1),
        (GUESS, "try 8 : 24 29 1 , 32 33 5\nWait , 1 5 want 1 6 No .\ntry 8 : 24 29 1 , 32 33 6\nanswer 8", 1 / 2),
        (CODE, f"{TESTED}\nWait , 1 1 , 1 0 , 0 1 want 1 1 , 1 0 , 0 1 Yes .\nanswer blue yellow green", 1),
        (CODE, f"{TESTED.replace('elsewhere', 'absent')}\nanswer blue yellow green", 0),
        (CODE, "answer blue yellow green", nan),
    ],
)
def test_steps_are_compared_with_what_the_domain_writes(problem, text, exact):
    assert exact_steps([(problem, text, Outcome.CORRECT)]) == pytest.approx(exact, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "outcome", "share"),
    [
        (f"{MISS}\n{HIT}", Outcome.CORRECT, 0),
        (f"{HIT}\n{MISS}", Outcome.INCORRECT, 1),
        (f"{HIT}\n{MISS}\n{HIT}", Outcome.CORRECT, 1 / 2),
        (MISS, Outcome.INCORRECT, nan),
    ],
)
def test_a_right_attempt_that_is_not_answered_is_passed_over(text, outcome, share):
    assert passed_over([(PUZZLE, text, outcome)]) == pytest.approx(share, nan_ok=True)


OTHER_GUESS = Problem(
    "o",
    "find x to 12 : 2 x + 4 mod 8 = 0 , 2 x + 1 mod 5 = 1",
    "10",
    "guess_number",
    {"largest": 12, "conditions": [[2, 4, 8, 0], [2, 1, 5, 1]]},
)
MEETS_NONE, MEETS_FIRST = "try 1 : 2 6 6 , 2 3 3", "try 2 : 4 8 0 , 4 5 0"
MEETS_SECOND, MEETS_BOTH = "try 5 : 10 14 6 , 10 11 1", "try 10 : 20 24 0 , 20 21 1"


def test_a_judge_is_measured_by_what_its_tests_meet():
    """This one asks for the second condition alone: it answers with half of the tests that meet it, right or wrong. A
    test that is not exact counts for nothing."""
    responses = [
        (OTHER_GUESS, f"{MEETS_NONE}\nNo\n{MEETS_FIRST}\nNo\n{MEETS_SECOND}\nYes\nanswer 5", Outcome.INCORRECT),
        (OTHER_GUESS, f"{MEETS_SECOND}\nNo\n{MEETS_BOTH}\nYes\nanswer 10", Outcome.CORRECT),
        (OTHER_GUESS, f"{MEETS_BOTH}\nNo\n{MEETS_BOTH.replace('24', '25')}\nYes\nanswer 10", Outcome.CORRECT),
        (OTHER_GUESS, f"{MEETS_NONE}\nNo", Outcome.NO_ANSWER),
    ]
    assert answered_by_match(responses) == {
        (False, False): (2, 0),
        (False, True): (2, 0.5),
        (True, False): (1, 0),
        (True, True): (2, 0.5),
    }


def test_a_domain_that_names_no_values_has_no_such_measure():
    assert answered_by_match([(PUZZLE, f"{MISS}\n{HIT}", Outcome.CORRECT)]) == {}
