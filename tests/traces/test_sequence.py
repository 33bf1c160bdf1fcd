from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from astro_factory.core.problems import Problem
from astro_factory.core.trees import Tree, TreeNode
from astro_factory.traces.branch_counts import Mixture, WrongBranches, draw_count
from astro_factory.traces.sequence import Confirm, Early, SequenceOptions, merge_paths, sample_sequence
from astro_factory.traces.terminals import Terminals
from tests.traces.trees import random_trees

RIGHT, WRONG = {"terminal": True, "verdict": "correct", "answer": "7"}, {"terminal": True, "verdict": "incorrect"}


def small_tree() -> Tree:
    """The tree of the module's docstring, with one more incorrect terminal whose answer occurs twice."""
    nodes = [
        TreeNode(-1, ""),
        TreeNode(0, "a", prior=0.9, value=0.95),
        TreeNode(1, "b", prior=0.5, answer="1", **WRONG),
        TreeNode(1, "c", prior=0.5, answer="2", **WRONG),
        TreeNode(0, "d", prior=0.1, value=0.2),
        TreeNode(4, "e", prior=0.5, **RIGHT),
        TreeNode(4, "f", prior=0.5, answer="1", **WRONG),
    ]
    return Tree(Problem("p", "?", "7", "sample"), nodes)


def test_paths_continue_from_the_deepest_visited_state():
    assert merge_paths(small_tree(), [2, 3], 5) == [0, 1, 2, 1, 3, 0, 4, 5]


def test_paths_can_continue_from_an_earlier_branch():
    tree = small_tree()
    tree.nodes.append(TreeNode(1, "g", answer="7", terminal=True, verdict="correct"))
    assert merge_paths(tree, [2, 6], 7) == [0, 1, 2, 0, 4, 6, 1, 7]


def test_paths_can_restart_at_the_root():
    assert merge_paths(small_tree(), [2, 3], 5, "root") == [0, 1, 2, 0, 1, 3, 0, 4, 5]


def test_paths_can_continue_from_any_visited_state():
    walks = {tuple(merge_paths(small_tree(), [2], 3, "any", Random(seed))) for seed in range(20)}
    assert walks == {(0, 1, 2, 1, 3), (0, 1, 2, 0, 1, 3)}


def deep_tree() -> Tree:
    """0 -> 1 -> 2 -> 3 (wrong), 2 -> 4 (wrong), 1 -> 5 (correct): no correct terminal is below 2."""
    nodes = [TreeNode(-1, ""), TreeNode(0, "a"), TreeNode(1, "b"), TreeNode(2, "c", answer="1", **WRONG)]
    nodes += [TreeNode(2, "d", answer="2", **WRONG), TreeNode(1, "e", **RIGHT)]
    return Tree(Problem("p", "?", "7", "sample"), nodes)


def test_a_branch_is_abandoned_at_a_hopeless_step():
    """It stays abandoned: the second incorrect terminal is below the same step."""
    always = SequenceOptions(wrong_branches=2, early=Early(share=1.0))
    assert {tuple(sample_sequence(deep_tree(), always, seed)) for seed in range(20)} == {(0, 1, 2, 1, 5)}
    late = SequenceOptions(wrong_branches=1, early=Early(share=1.0, steps=(3, 3)))
    assert {tuple(sample_sequence(deep_tree(), late, seed)[:4]) for seed in range(20)} == {(0, 1, 2, 3), (0, 1, 2, 4)}
    half = SequenceOptions(wrong_branches=1, early=Early(share=0.5))
    lengths = Counter(len(sample_sequence(deep_tree(), half, seed)) for seed in range(1000))
    assert lengths[5] == pytest.approx(500, abs=60)


@pytest.mark.parametrize("order", ["near_last", "near_first"])
def test_branches_can_be_ordered_by_distance(order):
    """The correct terminal is 5; node 6 shares its first step, nodes 2 and 3 share nothing."""
    tree = small_tree()
    tree.nodes[6].answer = "3"
    options = SequenceOptions(wrong_branches=3, order=order)
    for seed in range(20):
        ends = [node for node in sample_sequence(tree, options, seed) if tree.nodes[node].terminal]
        assert ends[-1] == 5
        assert ends[2 if order == "near_last" else 0] == 6


def test_branches_can_be_ordered_by_their_steps():
    """Numbers compare as numbers, and the right end comes last wherever its steps would stand."""
    texts = ["12 - 4", "9 + 1", "9 + 10", "9 + 2", "9 - 1", "take 3"]
    nodes = [TreeNode(-1, "")]
    nodes += [TreeNode(0, text, answer=text, **WRONG) for text in texts] + [TreeNode(0, "9 + 9", **RIGHT)]
    tree = Tree(Problem("p", "?", "7", "sample"), nodes)
    options = SequenceOptions(wrong_branches=9, merge="root", order="by_steps")
    for seed in range(5):
        visited = [tree.nodes[node].text for node in sample_sequence(tree, options, seed) if node]
        assert visited == ["9 + 1", "9 + 2", "9 + 10", "9 - 1", "12 - 4", "take 3", "9 + 9"]


def test_equal_answers_can_be_allowed():
    options = SequenceOptions(wrong_branches=9, distinct=False)
    assert all(set(sample_sequence(small_tree(), options, seed)) >= {2, 3, 6} for seed in range(20))


def test_traces_end_at_trusted_terminals_only():
    tree = small_tree()
    tree.nodes.append(TreeNode(1, "g", answer="7", terminal=True, verdict="correct"))
    trusted = Terminals(tree, trusted={7})
    assert {sample_sequence(tree, SequenceOptions(), seed, trusted)[-1] for seed in range(30)} == {7}
    assert trusted.leading_to_correct == {0, 1, 4, 5, 7}
    assert sample_sequence(tree, SequenceOptions(), 0, Terminals(tree, trusted=())) is None


def test_without_wrong_branches_the_path_is_direct():
    assert merge_paths(small_tree(), [], 5) == [0, 4, 5]


def test_only_steps_with_a_high_value_are_confirmed():
    options = SequenceOptions(wrong_branches=2, confirm=Confirm(min_value=0.9, share=1.0))
    sequences = {tuple(sample_sequence(small_tree(), options, seed)) for seed in range(30)}
    assert (0, 1, 1, 2, 1, 3, 0, 4, 5) in sequences
    assert all((4, 4) not in pairwise(visited) for visited in sequences)


@pytest.mark.parametrize(("rollouts", "confirmed"), [(15, False), (16, True)])
def test_only_steps_with_enough_rollouts_are_confirmed(rollouts, confirmed):
    tree = small_tree()
    tree.nodes[1].rollouts = rollouts
    confirm = Confirm(min_value=0.9, share=1.0, min_rollouts=16)
    sequences = [sample_sequence(tree, SequenceOptions(wrong_branches=2, confirm=confirm), seed) for seed in range(30)]
    assert any((1, 1) in pairwise(visited) for visited in sequences) is confirmed


options = st.builds(
    SequenceOptions,
    wrong_branches=st.sampled_from([0, 1, 3, (0, 4), {0: 1.0, 2: 2.0}, Mixture(natural=0.5, uniform=(0, 6))]),
    at_least=st.integers(0, 1),
    merge=st.sampled_from(["deepest", "any", "root"]),
    draw=st.sampled_from(["policy", "uniform"]),
    confirm=st.sampled_from([None, Confirm(min_value=0.5, share=0.5)]),
    early=st.sampled_from([None, Early(share=1.0), Early(share=0.5, steps=(2, 3))]),
    order=st.sampled_from(["drawn", "near_last", "near_first", "by_steps"]),
    distinct=st.booleans(),
)


@settings(deadline=None)
@given(random_trees(), options, st.integers(0, 2**62))
def test_invariants(tree, options, seed):
    visited = sample_sequence(tree, options, seed)
    if visited is None:
        assert len(set(Terminals(tree).answers.values())) < options.at_least
        return
    assert visited == sample_sequence(tree, options, seed)
    assert visited[0] == 0
    assert tree.nodes[visited[-1]].verdict == "correct"
    jumps = [(a, b) for a, b in pairwise(visited) if a != b and tree.nodes[b].parent != a]
    ends = [leaf for leaf, _ in jumps if tree.nodes[leaf].terminal]
    assert ends == [node for node in visited[:-1] if tree.nodes[node].terminal]
    assert all(tree.nodes[node].verdict == "incorrect" for node in ends)
    assert len(jumps) >= options.at_least
    if options.distinct:
        answers = [tree.nodes[node].answer for node in ends]
        assert len(answers) == len(set(answers))
    abandoned = [leaf for leaf, _ in jumps if leaf not in ends]
    assert bool(options.early) >= bool(abandoned)
    for leaf in abandoned:
        below = [end for end in tree.terminals() if leaf in tree.path(end)]
        assert all(tree.nodes[end].verdict != "correct" for end in below)
        assert visited.count(leaf) == 1
    assert all(target in visited[: visited.index(leaf)] for leaf, target in jumps)
    steps = [b for a, b in pairwise(visited) if tree.nodes[b].parent == a]
    if options.merge == "deepest":
        assert len(steps) == len(set(steps))
    if options.merge == "root":
        assert all(target == 0 for _, target in jumps)


def test_terminals_are_drawn_as_often_as_the_policy_reaches_them():
    """0.9 * 0.5 leads to each of 2 and 3, 0.1 * 0.5 to each of 5 and 6."""
    terminals = Terminals(small_tree())
    assert terminals.weights == pytest.approx({5: 0.05, 2: 0.45, 3: 0.45, 6: 0.05})
    first = Counter(terminals.shuffled(Random(seed))[0] for seed in range(4000))
    assert first[2] + first[3] == pytest.approx(3600, abs=90)


def test_a_step_without_a_prior_counts_as_its_least_likely_sibling():
    tree = small_tree()
    tree.nodes[3].prior = 0.0
    assert Terminals(tree).weights[3] == pytest.approx(0.45)
    for node in tree.nodes:
        node.prior = 0.0
    assert Terminals(tree).weights == pytest.approx(dict.fromkeys((2, 3, 5, 6), 0.25))


def test_natural_counts_follow_the_policys_failures():
    """The cap applies; if the correct terminal is the most likely, traces have no wrong branch."""
    tree, natural = small_tree(), SequenceOptions(Mixture(natural=1, uniform=(0, 1)))
    wrong = [sum(tree.nodes[n].terminal for n in sample_sequence(tree, natural, seed)) - 1 for seed in range(500)]
    assert set(wrong) == {0, 1} and sum(wrong) > 400
    tree.nodes[1].prior = 1e-6
    tree.nodes[6].prior = 1e-6
    assert all(sample_sequence(tree, natural, seed) == [0, 4, 5] for seed in range(100))


def test_without_a_correct_terminal_there_is_no_sequence():
    tree = small_tree()
    tree.nodes[5].verdict = "incorrect"
    assert sample_sequence(tree, SequenceOptions(), 0) is None


def test_terminals_without_an_answer_are_not_visited():
    tree = small_tree()
    tree.nodes[2].answer = ""
    tree.nodes[3].verdict = "no_answer"
    assert Terminals(tree).incorrect == [6]


DISTRIBUTIONS = [
    (2, {2: 1.0}),
    ([0, 2], {0: 1 / 3, 1: 1 / 3, 2: 1 / 3}),
    ({"0": 1, "3": 3}, {0: 0.25, 3: 0.75}),
    ({"natural": 1.0, "uniform": [0, 3]}, {3: 1.0}),
    ({"natural": 0.5, "uniform": [0, 1]}, {0: 0.25, 1: 0.75}),
]


@pytest.mark.parametrize("written, shares", DISTRIBUTIONS)
def test_distributions(written, shares):
    """`natural` is 5 here, so the cap always applies."""
    branches = TypeAdapter(WrongBranches).validate_python(written)
    random = Random(0)
    drawn = Counter(draw_count(branches, 5, random) for _ in range(6000))
    assert {number: count / 6000 for number, count in drawn.items()} == pytest.approx(shares, abs=0.03)


@pytest.mark.parametrize(
    "written, message",
    [
        (-1, "greater than or equal to 0"),
        (101, "less than or equal to 100"),
        ([2, 0], "the lower bound comes first"),
        ([1], "Field required"),
        ({}, "at least 1 item"),
        ({0: 0.0}, "at least one count needs a share above 0"),
        ({"natural": 0.5}, "Field required"),
        ({"natural": 2, "uniform": [0, 1]}, "less than or equal to 1"),
        ("many", "valid integer"),
    ],
)
def test_invalid_distributions(written, message):
    with pytest.raises(ValidationError) as error:
        TypeAdapter(WrongBranches).validate_python(written)
    assert error.value.error_count() == 1
    assert message in str(error.value)
