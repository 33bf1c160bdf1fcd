"""Moves read from the states of a response: equal under any wording, and counted as drawn by hand."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.core.problems import Problem
from astro_factory.traces.state_moves import state_moves
from astro_factory.verifiers.countdown import Countdown

COUNTDOWN = Countdown()
PROBLEM = Problem("p", "numbers 3 4 10 target 17", "", "countdown", {"numbers": [4, 10, 3], "target": 17})
FIRST, SECOND, THIRD = "10 + 3 = 13 left 4 13", "4 + 10 = 14 left 3 14", "10 - 4 = 6 left 3 6"


def figures(response: str) -> dict[str, int]:
    moves = state_moves(COUNTDOWN.start(PROBLEM), COUNTDOWN.stated_steps(PROBLEM, response))
    names = ("backtracks", "dead_ends", "revisited", "unresolved", "repeated")
    return {name: found for name in names if (found := getattr(moves, name))}


CASES = {
    "no step": ("answer 4", {}),
    "straight on": (f"{FIRST}\n13 + 4 = 17 left 17\nanswer ( 10 + 3 ) + 4", {}),
    "to the start": (f"{FIRST}\n13 * 4 = 52 left 52\nGo back\n{SECOND}", {"backtracks": 1, "dead_ends": 1}),
    "without a word": (f"{FIRST}\n{SECOND}", {"backtracks": 1, "dead_ends": 1}),
    "to a state between": (f"{FIRST}\n13 - 4 = 9 left 9\n4 * 13 = 52 left 52", {"backtracks": 1, "dead_ends": 1}),
    "the same step again": (f"{FIRST}\n{FIRST}", {"backtracks": 1, "dead_ends": 1, "revisited": 1}),
    "the same step in another spelling": (
        f"{FIRST}\n3 + 10 = 13 left 13 4",
        {"backtracks": 1, "dead_ends": 1, "revisited": 1},
    ),
    "the same attempt": (
        f"{FIRST}\n13 - 4 = 9 left 9\n{FIRST}\n13 - 4 = 9 left 9",
        {"backtracks": 1, "dead_ends": 1, "revisited": 2, "repeated": 1},
    ),
    "another attempt": (
        f"{FIRST}\n13 - 4 = 9 left 9\n{THIRD}\n6 * 3 = 18 left 18",
        {"backtracks": 1, "dead_ends": 1},
    ),
    "a state that was never reached": (
        f"{FIRST}\n13 - 4 = 9 left 9\n8 + 7 = 15 left 2 15",
        {"backtracks": 1, "dead_ends": 1, "unresolved": 1},
    ),
    "a slip in what is left": ("10 + 3 = 13 left 5 13\n13 + 5 = 18 left 18", {}),
    "a slip after the first step": (f"{FIRST}\n13 + 5 = 18 left 18", {}),
    "a step that does not leave its result": ("10 + 3 = 13 left 4 14\n14 + 4 = 18 left 18", {}),
}


@pytest.mark.parametrize(("response", "expected"), CASES.values(), ids=CASES)
def test_moves_of_responses(response, expected):
    assert figures(response) == expected


def test_an_attempt_in_another_order_is_a_repetition():
    problem = Problem("p", "", "", "countdown", {"numbers": [5, 7, 7, 10], "target": 29})
    one = "5 + 10 = 15 left 7 7 15\n7 + 7 = 14 left 14 15\n14 + 15 = 29 left 29"
    other = "7 + 7 = 14 left 5 10 14\n10 + 5 = 15 left 14 15\n15 + 14 = 29 left 29"
    moves = state_moves(COUNTDOWN.start(problem), COUNTDOWN.stated_steps(problem, f"{one}\n{other}"))
    assert (moves.backtracks, moves.revisited, moves.repeated) == (1, 0, 1)


PHRASES = ["Go back to where we had 3 4 10", "Go back to to to we had", "No .", "", "zurück"]
WORDS = st.lists(st.sampled_from(PHRASES), max_size=3)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.data())
def test_words_between_steps_change_nothing(name, data):
    """The measures of a response are those of its steps, whatever stands between them."""
    response, expected = CASES[name]
    steps = [line for line in response.split("\n") if re.search(r" left ", line)]
    text = "\n".join(line for step in steps for line in [*data.draw(WORDS), step])
    assert figures(text) == expected
