"""States of a small tree. Step 1 leads to right and wrong ends, step 2 only to wrong ones, node 5 to right ones."""

import pytest

from astro_factory.core.problems import Problem
from astro_factory.core.step_format import LINES, StepFormat
from astro_factory.core.trees import Tree, TreeNode
from astro_factory.traces.tree_states import Ends, ends_below, undecided_states


def end(parent: int, text: str, verdict: str, prior: float = 0.5) -> TreeNode:
    return TreeNode(parent, text, prior=prior, terminal=True, verdict=verdict, answer=text)


TREE = Tree(
    Problem("p", "question", "1", "says"),
    [
        TreeNode(-1, ""),
        TreeNode(0, "one", prior=0.5),
        TreeNode(0, "two", prior=0.25),
        end(1, "right", "correct", prior=0.75),
        TreeNode(1, "three", prior=0.25),
        TreeNode(0, "five", prior=0.25),
        end(5, "sure", "correct"),
        end(2, "wrong", "incorrect"),
        end(4, "also right", "correct"),
        end(4, "also wrong", "incorrect"),
    ],
)


def test_ends_count_by_how_likely_the_policy_reaches_them():
    found = ends_below(TREE)
    assert found[1] == Ends(pytest.approx(0.75 + 0.125), 3) and found[4] == Ends(0.5, 2)
    assert found[2] == Ends(0, 1) and found[5] == Ends(1, 1)
    assert found[0] == Ends(pytest.approx(0.5 * 0.875 + 0.25), 5)


@pytest.mark.parametrize(
    ("layout", "beginnings"),
    [
        (LINES, ["one\n", "one\nthree\n"]),
        (StepFormat(format="blank_line"), ["one\n\n", "one\n\nthree\n\n"]),
        (StepFormat(format="heading"), ["## Step 1: one\n\n", "## Step 1: one\n\n## Step 2: three\n\n"]),
    ],
)
def test_states_have_right_and_wrong_ends_and_begin_as_traces_do(layout, beginnings):
    states = list(undecided_states(TREE, layout))
    assert [state.beginning for state in states] == beginnings
    assert [state.problem.id for state in states] == ["p#1", "p#4"]
    assert all(state.problem.question == "question" and 0 < state.ends.rate < 1 for state in states)


def test_a_tree_without_ends_or_with_one_sort_of_them_has_no_states():
    assert list(undecided_states(Tree(TREE.problem, TREE.nodes[:2]), LINES)) == []
    assert list(undecided_states(Tree(TREE.problem, TREE.nodes[:4]), LINES)) == []
    assert ends_below(Tree(TREE.problem, TREE.nodes[:1])) == {}
