r"""reflection/math.jinja: its check, its verdict in words, what it names; nothing given up counts as an answer."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.core.problems import Problem
from astro_factory.core.step_format import StepFormat
from astro_factory.core.trees import Tree, TreeNode
from astro_factory.traces.backtrack_markers import backtrack_counter
from astro_factory.traces.render import render, trace_text
from astro_factory.traces.response_parser import ResponseParser, match_sequence
from astro_factory.traces.sequence import Confirm, Early, SequenceOptions, sample_sequence
from astro_factory.traces.trace_parser import parse
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.math.extraction import final_answer
from tests.traces.test_render import RENDERERS

MATH = get_verifier("math")
RENDERER = RENDERERS["reflection/math.jinja"]
FORMATS = {name: StepFormat(format=name) for name in ("line", "blank_line", "heading", "numbered")}
PARSERS = {name: ResponseParser(RENDERER.source, steps=steps) for name, steps in FORMATS.items()}
count_backtracks = backtrack_counter(RENDERER.source)
PROBLEM = Problem("p", "What is $12 \\cdot 7 + 5$?", "89", "math")
FIRST = "We compute the product first."
PATHS = [
    [FIRST, "Now $12 \\cdot 7 = 82$, so the sum is $82 + 5 = 87$. The answer is $\\boxed{87}$."],
    [FIRST, "Now $12 \\cdot 7 = 84$.", "The sum is $84 + 5 = 89$, so the answer is $\\boxed{89}$."],
    ["Add first: $7+5=12$.", "So $12 \\cdot 12 = 144$, and the answer is $\\boxed{144}$."],
    [FIRST, "I guess the rest: the final answer is $\\boxed{90}$."],
]


def tree_of(paths: list[list[str]], problem: Problem = PROBLEM) -> Tree:
    """A tree with these paths, judged by the verifier."""
    tree = Tree(problem, [TreeNode(-1, "")])
    for path in paths:
        at = 0
        for count, text in enumerate(path, start=1):
            found = next((child for child in tree.children(at) if tree.nodes[child].text == text), None)
            if found is None:
                tree.nodes.append(TreeNode(at, text, prior=1.0, value=0.9, facts=MATH.facts(problem, path[:count])))
                found = len(tree.nodes) - 1
            at = found
        verdict, node = MATH.verify(problem, "\n\n".join(path)), tree.nodes[at]
        node.terminal, node.verdict, node.answer = True, str(verdict.outcome), verdict.extracted
    return tree


TREE = tree_of(PATHS)
WRONG, SUM, GUESS, RIGHT = 2, 6, 7, 4


def trace(sequence: list[int], layout: str = "blank_line", seed: int = 0) -> str:
    return trace_text(render(TREE, sequence, RENDERER, seed, FORMATS[layout]), FORMATS[layout])


def test_a_false_equality_is_checked_and_named_with_its_step():
    text = trace([0, 1, WRONG, 1, 3, RIGHT], "heading")
    assert "Check step 2: $12 \\cdot 7 = 84$, not $82$. So $87$ is not the answer. " in text
    assert 'Let\'s go back to step 1 ("We compute the product first").' in text
    assert text.endswith("\n\nThe final answer is $\\boxed{89}$.")


def test_steps_without_numbers_are_quoted():
    text = trace([0, 1, WRONG, 1, 3, RIGHT])
    assert "Check: $12 \\cdot 7 = 84$, not $82$." in text
    assert 'Let\'s go back to where we wrote "We compute the product first".' in text and "tep" not in text


def test_what_cannot_be_calculated_is_said_in_words():
    holds, none = trace([0, 5, SUM, 0, 1, 3, RIGHT]), trace([0, 1, GUESS, 1, 3, RIGHT])
    assert "Check: $12 \\cdot 12 = 144$. " in holds and ": $144$ is not the answer. Let's start again" in holds
    assert "Check" not in none.partition("is not the answer")[0] and "$90$ is not the answer" in none


def test_right_ends_are_checked_alike():
    text = trace([0, 1, 3, RIGHT])
    assert text.split("\n\n")[-2].partition(" Check: $84 + 5 = 89$. ")[0] in (
        "Wait.", "Hold on.", "Is this right?"
    )  # fmt: skip


def test_a_solution_with_a_false_equality_is_not_praised():
    tree = tree_of([["$12 \\cdot 7 = 82$.", "So it is $\\boxed{89}$."]])
    assert trace_text(render(tree, [0, 1, 2], RENDERER, 0)).split("\n")[2:] == ["The final answer is $\\boxed{89}$."]


def test_an_early_end_and_a_pause():
    text = trace([0, 1, 3, 3, 1, WRONG, 1, 3, RIGHT])
    assert "Check: $12 \\cdot 7 = 84$. So far, so good." in text
    assert "This does not lead anywhere. Let's start" in trace([0, 5, 0, 1, 3, RIGHT])


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.integers(0, 2**62), st.booleans(), st.booleans())
def test_every_trace_is_parsed_as_it_was_made_and_states_its_answer_last(name, seed, early, confirm):
    options = SequenceOptions((0, 3), confirm=Confirm(share=0.5) if confirm else None, early=Early() if early else None)
    visited = sample_sequence(TREE, options, seed)
    layout = FORMATS[name]
    text = trace_text(render(TREE, visited, RENDERER, seed, layout), layout)
    assert parse(text, TREE, RENDERER, layout) == visited
    assert MATH.verify(PROBLEM, text).correct and text.endswith("$\\boxed{89}$.")
    jumps = [(a, b) for a, b in pairwise(visited) if a != b and TREE.nodes[b].parent != a]
    assert count_backtracks(text) == len(jumps)
    graph = PARSERS[name].parse(text, PROBLEM.question)
    assert graph.unresolved == 0
    assert [(graph.texts[a], graph.texts[b]) for a, b in graph.jumps()] == [
        (TREE.nodes[a].text, TREE.nodes[b].text or PROBLEM.question) for a, b in jumps
    ]
    assert graph.dead_ends == len({left for left, _ in jumps if not TREE.children(left)}) or early
    if not (early or confirm):  # `match_sequence` takes all words between steps for a pause
        assert match_sequence(text, TREE, layout) == visited


@pytest.mark.parametrize("layout", FORMATS)
def test_no_cut_response_votes_for_what_it_has_given_up(layout):
    """From the words that give an answer up to the next one, no beginning of the trace has an answer."""
    text = trace([0, 1, WRONG, 1, GUESS, 0, 5, SUM, 0, 1, 3, RIGHT], layout)
    place = 0
    for box in ("\\boxed{87}", "\\boxed{90}", "\\boxed{144}"):
        given_up = text.index("is not the answer", text.index(box, place)) + len("is not the answer")
        following = text.index("\\boxed{", given_up)
        for end in range(given_up, following):
            assert not final_answer(text[:end])
        place = given_up
    assert MATH.verify(PROBLEM, text).correct


def test_the_papers_closing_reflection_does_not_hide_the_answer():
    text = trace_text(render(TREE, [0, 1, WRONG, 0, 1, 3, RIGHT], RENDERERS["reflection/paper.jinja"], 0))
    assert text.endswith("seems to be correct so far.")
    assert MATH.verify(PROBLEM, text).correct
    cut = text.index("Let's restart")
    assert not MATH.verify(PROBLEM, text[:cut]).extracted
