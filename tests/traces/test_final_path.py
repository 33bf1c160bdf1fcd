"""Responses without their abandoned branches."""

from dataclasses import replace

import pytest

from astro_factory.core.problems import Problem
from astro_factory.core.step_format import LINES, StepFormat
from astro_factory.traces.final_path import final_path
from astro_factory.traces.render import render, trace_text
from astro_factory.traces.response_parser import ResponseParser
from astro_factory.traces.sequence import SequenceOptions, sample_sequence
from tests.traces.test_render import RENDERERS
from tests.traces.test_state_moves import FIRST, PROBLEM, SECOND, THIRD
from tests.traces.trees import countdown_tree

END = "13 + 4 = 17 left 17"
ANSWER = "answer ( 10 + 3 ) + 4"
STRAIGHT = f"{FIRST}\n{END}\n{ANSWER}"
STATES = {
    "as it is": (STRAIGHT, STRAIGHT),
    "checks": (f"{FIRST}\nBut wait , are we right ? Yes .\n{END}\nYes .\n{ANSWER}", STRAIGHT),
    "to the start": (f"{SECOND}\n14 - 3 = 11 left 11\nNo . Go back to where we had 4 10 3\n{STRAIGHT}", STRAIGHT),
    "to a state between": (f"{FIRST}\n13 - 4 = 9 left 9\nGo back to 4 13\n{END}\n{ANSWER}", STRAIGHT),
    "in drifted words": (f"{SECOND}\nGo where where we had we\n{STRAIGHT}", STRAIGHT),
    "without a word": (f"{THIRD}\n{STRAIGHT}", STRAIGHT),
    "the attempt again": (f"{FIRST}\n13 - 4 = 9 left 9\n{FIRST}\n{END}\n{ANSWER}", STRAIGHT),
    "no answer": (f"{THIRD}\n{FIRST}", FIRST),
    "no step": (ANSWER, ANSWER),
    "to nowhere": (f"{FIRST}\n{END}\n2 + 7 = 9 left 9\n{ANSWER}", None),
    "a copying error": (f"{FIRST}\n15 + 4 = 19 left 19\n{ANSWER}", None),
    "two steps in a line": (f"{FIRST} {END}\n{ANSWER}", None),
    "nothing": (" \n", None),
}


@pytest.mark.parametrize(("response", "expected"), STATES.values(), ids=STATES)
def test_by_states(response, expected):
    assert final_path(PROBLEM, response, ResponseParser(None)) == expected


TEMPLATE = RENDERERS["reflection/terse.jinja"].source
PARAGRAPHS = StepFormat(format="blank_line")
QUESTION = Problem("q", "What is half of 10 plus 2?", "7", "math")
WORDS = {
    "as it is": ("Half of 10 is 5.\n\n5 + 2 = 7.", "Half of 10 is 5.\n\n5 + 2 = 7."),
    "its own words": (
        "Half of 10 is 6.\n\nWait, that is wrong. Let's go back to the beginning.\n\nHalf of 10 is 5.\n\n5 + 2 = 7.",
        "Half of 10 is 5.\n\n5 + 2 = 7.",
    ),
    "one step back": (
        "Half of 10 is 5.\n\n5 + 2 = 8.\n\nHold on. Let me go back to the previous step.\n\n5 + 2 = 7.\n\n"
        "Wait, is it? Yes.\n\nSo the answer is \\boxed{7}.",
        "Half of 10 is 5.\n\n5 + 2 = 7.\n\nSo the answer is \\boxed{7}.",
    ),
    "to nowhere": ("Half of 10 is 5.\n\nLet's go back to step 9.\n\n5 + 2 = 7.", None),
}


@pytest.mark.parametrize(("response", "expected"), WORDS.values(), ids=WORDS)
def test_by_words(response, expected):
    assert final_path(QUESTION, response, ResponseParser(TEMPLATE, steps=PARAGRAPHS), PARAGRAPHS) == expected


def test_by_words_line_by_line():
    response = "Half of 10 is 5\n5 + 2 = 7"
    assert final_path(QUESTION, response, ResponseParser(None), LINES) == response


@pytest.mark.parametrize("seed", range(30))
def test_a_trace_becomes_the_direct_solution_that_its_tree_has(seed):
    tree = countdown_tree()
    problem = replace(tree.problem, info={"numbers": [4, 10, 3], "target": 17})
    visited = sample_sequence(tree, SequenceOptions((0, 4)), seed)
    trace = trace_text(render(tree, visited, RENDERERS["reflection/countdown.jinja"], seed))
    path = [tree.nodes[node] for node in tree.path(visited[-1])]
    direct = [node.text for node in path if node.text] + [path[-1].closing]
    assert final_path(problem, trace, ResponseParser(None)) == "\n".join(direct)
