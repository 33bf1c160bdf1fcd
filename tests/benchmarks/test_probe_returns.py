import pytest

from astro_factory.core.problems import Problem
from astro_factory.core.shipped import shipped_folder
from astro_factory.traces.reading import Reader
from astro_factory.traces.templating import compile_template
from benchmarks.probe_returns import Response, figures, returns, solvable

PUZZLE = Problem("p", "numbers 4 10 3 target 17", "", "countdown", info={"numbers": [4, 10, 3], "target": 17})
BACK_TO_SOUND = """\
10 + 3 = 13 left 4 13
13 - 4 = 9 left 9
But wait , are we correct so far ? 17 - 9 = 8 No . Go back to where we had 4 13
13 + 4 = 17 left 17
answer ( 10 + 3 ) + 4"""
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
    assert list(returns(Reader(template, lambda line: " left " in line), response)) == kinds


def test_figures(template):
    found = figures(
        template, iter([Response(PUZZLE, BACK_TO_SOUND), Response(PUZZLE, BACK_TO_UNSOUND_THEN_START, False)])
    )
    assert found == {
        "returns": 1.5,
        "start": 0.333,
        "sound": 0.5,
        "next_right": {"sound": 1.0, "start": 0.0, "unsound": 0.0},
    }
