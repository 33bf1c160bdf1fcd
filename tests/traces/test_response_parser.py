from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.traces.render import render, trace_text
from astro_factory.traces.response_parser import ResponseParser, match_sequence, response_measures
from astro_factory.traces.sequence import SequenceOptions, sample_sequence
from tests.traces.test_render import RENDERERS, SHIPPED
from tests.traces.trees import countdown_tree, random_trees

WITH_JUMPS = [name for name in SHIPPED if name not in ("reflection/direct.jinja", "reflection/paper.jinja")]
PARSERS = {name: ResponseParser(RENDERERS[name].source) for name in SHIPPED}


@pytest.mark.parametrize("name", WITH_JUMPS)
def test_rendered_traces_are_parsed_as_they_were_made(name):
    """On countdown trees, where the remaining numbers name a state. The answer line would be parsed as a step."""
    tree = countdown_tree()
    for seed in range(40):
        visited = sample_sequence(tree, SequenceOptions((0, 4)), seed)
        text = trace_text(render(tree, visited, RENDERERS[name], seed)).rpartition("\n")[0]
        graph = PARSERS[name].parse(text, "4 10 3")
        jumps = [(a, b) for a, b in pairwise(visited) if a != b and tree.nodes[b].parent != a]
        assert graph.backtracks == len(jumps)
        assert graph.unresolved == graph.revisited == 0
        assert [(graph.texts[a], graph.texts[b]) for a, b in graph.jumps()] == [
            (tree.nodes[a].text, tree.nodes[b].text or "4 10 3") for a, b in jumps
        ]
        assert graph.dead_ends == len(jumps)


NO = "No . Go back to where we had"
RESPONSES = [
    # backtracks, dead ends, revisited, unresolved
    ("", (0, 0, 0, 0)),
    ("10 + 3 = 13 left 4 13\n4 + 13 = 17 left 17\nanswer 4 + ( 10 + 3 )", (0, 0, 0, 0)),
    (f"10 + 3 = 13 left 4 13\nWait , 17 - 3 = 14 {NO} 4 10 3\n4 + 3 = 7 left 10 7", (1, 1, 0, 0)),
    (f"10 + 3 = 13 left 4 13\n{NO} 9 9\n4 + 13 = 17 left 17", (1, 0, 0, 1)),
    (f"a left 1\n{NO} 4 10 3\na left 1\nb left 2", (1, 0, 1, 0)),
    (f"a left 1\nb left 2\n{NO} 1\nc left 3\n{NO} 1\nb left 2\nd left 4", (2, 1, 1, 0)),
]


@pytest.mark.parametrize(("response", "figures"), RESPONSES)
def test_responses_of_a_model(response, figures):
    graph = PARSERS["reflection/countdown.jinja"].parse(response, "numbers 4 10 3 target 17")
    assert (graph.backtracks, graph.dead_ends, graph.revisited, graph.unresolved) == figures


def test_every_line_is_classified():
    lines = [
        "10 + 3 = 13 left 4 13",
        "",
        "But wait , are we correct so far ?",
        f"{NO} 9 9",
        f"{NO} 4 10 3",
        "4 + 3 = 7 left 7",
    ]
    graph = PARSERS["reflection/countdown.jinja"].parse("\n".join(lines), "numbers 4 10 3 target 17")
    assert graph.lines == [("step", 1), ("words", 1), ("unresolved", 1), ("jump", 0), ("step", 2)]


def test_measures_of_a_response():
    problem = replace(countdown_tree().problem, info={"numbers": [4, 10, 3], "target": 17})
    response = f"10 + 3 = 13 left 4 13\n{NO} 9 9\n4 + 13 = 17 left 17"
    measures = response_measures(RENDERERS["reflection/countdown.jinja"].source)
    # words alone: the second step continues the first
    assert measures(problem, response) == {
        "backtracks": 0, "dead_ends": 0, "revisited": 0, "unresolved": 0, "repeated": 0, "worded": 1
    }  # fmt: skip
    # the same text in a domain without states
    assert measures(replace(problem, verifier="math"), response) == {
        "backtracks": 1, "dead_ends": 0, "revisited": 0, "unresolved": 1, "repeated": None, "worded": 1
    }  # fmt: skip
    # moves without the template's words
    silent = "10 + 3 = 13 left 4 13\nGo where where we had 4 10 3\n4 + 10 = 14 left 3 14"
    assert measures(problem, silent) == {
        "backtracks": 1, "dead_ends": 1, "revisited": 0, "unresolved": 0, "repeated": 0, "worded": 0
    }  # fmt: skip


def test_a_quoted_step_is_found():
    words = "But wait, are we solving the problem correctly so far? Hmm..."
    text = f'Let x be 2\nThen y is 3\n{words} Let\'s go back to where we wrote "Let x be 2"\nThen y is 4'
    graph = PARSERS["reflection/paper.jinja"].parse(text)
    assert graph.sequence == [0, 1, 2, 1, 3]


def test_only_steps_are_steps():
    parser = ResponseParser(RENDERERS["reflection/countdown.jinja"].source, is_step=lambda line: "left" in line)
    assert parser.parse("Let me think\n1 + 1 = 2 left 2\nHow nice\nanswer 1 + 1").texts == ["", "1 + 1 = 2 left 2"]


@settings(max_examples=60, deadline=None)
@given(random_trees(), st.data())
def test_a_reworded_trace_has_the_same_sequence(tree, data):
    """Any text may replace the words between steps, as long as it is not a step."""
    seed = data.draw(st.integers(0, 2**62))
    visited = sample_sequence(tree, SequenceOptions((0, 4)), seed)
    segments = render(tree, visited, RENDERERS["reflection/countdown.jinja"], seed)
    words = {segment.text: f"well {index}" for index, segment in enumerate(segments) if segment.kind == "backtrack"}
    text = trace_text([segment._replace(text=words.get(segment.text, segment.text)) for segment in segments])
    assert match_sequence(text, tree) == visited


def test_a_text_of_another_tree_has_no_sequence():
    tree = countdown_tree()
    visited = sample_sequence(tree, SequenceOptions(2), 0)
    text = trace_text(render(tree, visited, RENDERERS["reflection/countdown.jinja"], 0))
    assert match_sequence(text, tree) == visited
    for other in ("", text.rpartition("\n")[0], text + "!", text.replace("left", "right")):
        assert match_sequence(other, tree) is None
    first = text.split("\n")[0]
    assert match_sequence(text.replace(first, first + "!", 1), tree) != visited
