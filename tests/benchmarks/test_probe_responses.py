import pytest

from astro_factory.core.problems import Problem
from astro_factory.core.shipped import shipped_folder
from astro_factory.traces.response_parser import ResponseParser
from astro_factory.traces.template_loader import compile_template
from benchmarks.probe_responses import Response, figures, returns, solvable

PUZZLE = Problem("p", "numbers 4 10 3 target 17", "", "countdown", info={"numbers": [4, 10, 3], "target": 17})
BACK_TO_SOUND = """\
10 + 3 = 13 left 4 13
13 - 4 = 9 left 9
But wait , are we correct so far ? 17 - 9 = 8 No . Go back to where we had 4 13
13 + 4 = 17 left 17
Wait , 17 - 17 = 0 Yes .
answer ( 10 + 3 ) + 4"""
FALSE_CHECK = """\
10 + 3 = 13 left 4 13
13 - 4 = 9 left 9
Wait , 9 - 9 = 0 Yes .
answer ( 10 + 3 ) - 4"""
BACK_TO_UNSOUND_THEN_START = """\
10 - 3 = 7 left 4 7
7 + 4 = 11 left 11
17 - 11 = 6 No . Go back to where we had 4 7
7 - 4 = 3 left 3
17 - 3 = 14 No . Go back to where we had 4 10 3
10 + 3 = 13 left 4 13"""


@pytest.fixture(scope="module")
def template():
    return compile_template("reflection/countdown.jinja", [shipped_folder("templates")])


@pytest.mark.parametrize(
    ("numbers", "target", "can"),
    [((17,), 17, True), ((3, 4, 10), 17, True), ((4, 7), 17, False), ((4, 7), 28, True), ((5, 9), 45, False)],
)
def test_all_ways_are_tried_within_the_rules(numbers, target, can):
    assert solvable(numbers, target) is can


@pytest.mark.parametrize(
    ("response", "kinds"),
    [
        (Response(PUZZLE, BACK_TO_SOUND), [("sound", True)]),
        (Response(PUZZLE, BACK_TO_UNSOUND_THEN_START, right=False), [("unsound", False), ("start", False)]),
        (Response(PUZZLE, BACK_TO_UNSOUND_THEN_START, False, cut_off=True), [("unsound", False), ("start", None)]),
    ],
)
def test_a_return_is_judged_by_what_its_state_can_still_give(template, response, kinds):
    assert list(returns(ResponseParser(template, lambda line: " left " in line), response)) == kinds


FALSE_STEP = """\
10 - 3 = 7 left 4 7
7 + 4 = 17 left 17
Wait , 17 - 17 = 0 Yes .
answer ( 10 - 3 ) + 4"""


@pytest.mark.parametrize(
    ("text", "right", "wrong", "false_check", "false_step"),
    [
        (BACK_TO_SOUND, True, False, False, False),
        (FALSE_CHECK, False, True, True, False),
        (FALSE_CHECK.replace("9 - 9 = 0", "17 - 9 = 0"), False, True, False, False),
        (FALSE_STEP, False, True, False, True),
        (FALSE_STEP.replace("= 17 left", "= 11 left"), False, True, False, True),
        (BACK_TO_UNSOUND_THEN_START, False, False, False, False),
        ("", False, False, False, False),
    ],
)
def test_a_wrong_answer_comes_from_a_false_check_or_step(text, right, wrong, false_check, false_step):
    response = Response(PUZZLE, text, right)
    assert (response.wrong, response.checked_falsely, response.stepped_falsely) == (wrong, false_check, false_step)


def test_figures(template):
    texts = {BACK_TO_SOUND: True, BACK_TO_UNSOUND_THEN_START: False, FALSE_CHECK: False}
    assert figures(template, (Response(PUZZLE, text, right) for text, right in texts.items())) == {
        "returns": 1.0,
        "start": 0.333,
        "sound": 0.5,
        "next_right": {"sound": 1.0, "start": 0.0, "unsound": 0.0},
        "wrong": 0.333,
        "false_step": 0.0,
        "false_check": 1.0,
    }


def test_figures_of_what_never_goes_back(template):
    found = figures(template, iter([Response(PUZZLE, "answer ( 10 + 3 ) + 4")]))
    assert found["start"] is found["sound"] is found["false_check"] is None
