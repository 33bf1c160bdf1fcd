"""Searches worked out by hand: the samples are given, and comments show the arithmetic."""

import math

import pytest

from astro_factory.core.config import semantic_values
from astro_factory.core.trees import TreeNode
from astro_factory.search.config import MctsConfig, StopRule
from astro_factory.search.mcts import backed_up_value, grow, puct
from astro_factory.search.stopping import has_enough
from tests.search.toy import builder_for, letters, sample_of, shape

STEP = {"finish": "stop"}


def config(**fields) -> MctsConfig:
    return MctsConfig(
        **(
            {"kind": "mcts", "expansions": 2, "rollouts": 2, "iterations": 9, "prior": "uniform"}
            | {"count_evaluation": True}
            | fields
        )
    )


def run_policy(problem, config, *rounds):
    """The builder after these rounds, each with the samples for every request. The policy must request all of them."""
    builder = builder_for(problem, config)
    run = grow(builder, config)
    requests = next(run)
    for number, samples in enumerate(rounds):
        assert [len(r.seeds) for r in requests] == [len(s) for s in samples]
        try:
            requests = run.send(samples)
        except StopIteration:
            assert number == len(rounds) - 1
            return builder
    raise AssertionError(f"the search also requests {requests}")


PUCT = [
    # value, prior, visits, parent's visits, c, result
    (0.5, 0.5, 1, 1, 1.0, 0.75),
    (0.0, 0.5, 0, 4, 1.0, 1.0),
    (0.25, 0.2, 3, 9, 2.0, 0.25 + 2 * 0.2 * 3 / 4),
    (0.3, 0.9, 5, 0, 1.5, 0.3),
]


@pytest.mark.parametrize(("value", "prior", "visits", "parent", "c", "result"), PUCT)
def test_puct_is_equation_1(value, prior, visits, parent, c, result):
    assert puct(TreeNode(0, "a", prior, visits, value), parent, c) == pytest.approx(result)


def test_backup_is_equation_4():
    children = [TreeNode(1, "a", visits=3, value=0.5), TreeNode(1, "b", visits=1, value=1.0), TreeNode(1, "c")]
    assert backed_up_value(TreeNode(0, "s", reward=0.25, rollouts=16), children) == pytest.approx(
        (1.5 + 1.0 + 0.25) / 5
    )
    assert backed_up_value(TreeNode(0, "s", reward=0.25, rollouts=16), []) == 0.25
    assert backed_up_value(TreeNode(0, "s", reward=1.0, terminal=True), []) == 1.0
    assert backed_up_value(TreeNode(-1, ""), children) == pytest.approx(2.5 / 4)
    assert backed_up_value(TreeNode(-1, "", value=0.5), []) == 0.5


def test_a_whole_search_by_hand():
    builder = run_policy(
        letters("ab"),
        config(),
        [[sample_of("a", **STEP), sample_of("b", **STEP)]],
        [[sample_of("b"), sample_of("a")], [sample_of("c"), sample_of("d")]],
        # PUCT: a 0.5 + 0.5 * 1 / 2 = 0.75, b 0 + 0.25
        [[sample_of("a", **STEP), sample_of("b", **STEP)]],
        # everything below a is finished, so b
        [[sample_of("a", **STEP), sample_of("c", **STEP)]],
    )
    assert shape(builder.tree) == {
        "": (3, 0.25, 0.0, 0, 0.0),  # (0.5 * 2 + 0 * 2) / 4
        "a": (2, 0.5, 0.5, 2, 0.5),  # (0 + 1 + 0.5) / 3
        "b": (2, 0.0, 0.0, 2, 0.5),
        "aa": (1, 0.0, 0.0, 0, 0.5),
        "ab": (1, 1.0, 1.0, 0, 0.5),
        "ba": (1, 0.0, 0.0, 0, 0.5),
        "bc": (1, 0.0, 0.0, 0, 0.5),
    }
    assert builder.tree.iterations == 3
    ends = {n.facts["path"]: (n.verdict, n.answer, n.closing) for n in builder.tree.nodes if n.terminal}
    assert ends["ab"] == ("correct", "ab", "answer ab")
    assert ends["bc"] == ("incorrect", "bc", "answer bc")
    assert builder.count_terminals() == (1, 3)


def test_rollouts_that_do_not_count_as_visits_leave_the_parent_its_own_reward():
    builder = run_policy(
        letters("ab"),
        config(count_evaluation=False, iterations=2),
        [[sample_of("a", **STEP), sample_of("b", **STEP)]],
        [[sample_of("b"), sample_of("b")], [sample_of("c"), sample_of("d")]],
        [[sample_of("a", **STEP), sample_of("b", **STEP)]],
    )
    assert shape(builder.tree) == {
        "": (2, 2 / 3, 0.0, 0, 0.0),  # only a was visited
        "a": (1, 2 / 3, 1.0, 2, 0.5),  # (0 + 1 + 1) / 3: the verdicts of its closed terminals count
        "b": (0, 0.0, 0.0, 2, 0.5),
        "aa": (1, 0.0, 0.0, 0, 0.5),
        "ab": (1, 1.0, 1.0, 0, 0.5),
    }


def test_kept_branches_are_not_rolled_out_with_the_candidates():
    builder = run_policy(
        letters("abc"),
        config(keep_rollouts=True, prior="share", iterations=2),
        [[sample_of("a", **STEP), sample_of("a", **STEP)]],
        [[sample_of("b", "c"), sample_of("d", "d")]],  # ab and ad are kept below a
        # a is expanded: its only candidate is ac
        [[sample_of("c", **STEP), sample_of("x", **STEP)]],
        [[sample_of("c"), sample_of("d")]],
    )
    found = shape(builder.tree)
    assert {path: found[path][2:4] for path in ("ab", "ac", "ad")} == {"ab": (1.0, 1), "ac": (0.0, 2), "ad": (0.0, 1)}
    assert found["ab"][0] == 1  # the value that its rollout gave it counts, so selection may reach it


def test_children_of_low_value_are_pruned():
    builder = run_policy(
        letters("ab"),
        config(prune_below=0.5),
        [[sample_of("a", **STEP), sample_of("b", **STEP)]],
        [[sample_of("b"), sample_of("a")], [sample_of("c"), sample_of("d")]],
        [[sample_of("a", **STEP), sample_of("c", **STEP)]],
    )  # b, with 0, is never expanded: the tree is done
    assert builder.tree.iterations == 2


def test_terminals_are_selected_again_without_close_finished():
    rounds = (
        [[sample_of("a", **STEP), sample_of("b", **STEP)]],
        [[sample_of("b"), sample_of("b")], [sample_of("c"), sample_of("d")]],
        [[sample_of("a", **STEP), sample_of("b", **STEP)]],
    )
    builder = run_policy(letters("ab"), config(close_finished=False, iterations=5), *rounds)
    assert builder.tree.iterations == 5
    # a, then three times ab: its value 1 is never beaten
    assert {path: numbers[0] for path, numbers in shape(builder.tree).items()} == {
        "": 5, "a": 5, "b": 1, "aa": 1, "ab": 4,
    }  # fmt: skip


def test_kept_rollouts_become_nodes_that_later_expansions_continue():
    builder = run_policy(
        letters("ab"),
        config(keep_rollouts=True, prior="share", expansions=4, iterations=2),
        [[sample_of("a", **STEP), sample_of("a", **STEP), sample_of("a", **STEP), sample_of("b", **STEP)]],
        [[sample_of("b"), sample_of("c")], [sample_of("c"), sample_of("c")]],
        [[sample_of("b", **STEP), sample_of("d", **STEP), sample_of("d", **STEP), sample_of("no step", **STEP)]],
    )
    assert shape(builder.tree) == {
        "": (2, 0.375 / 1.25, 0.0, 0, 0.0),
        "a": (2, (1 + 0 + 0 + 0.5) / 4, 0.5, 2, 0.75),
        "b": (1, 0.0, 0.0, 2, 0.25),
        "ab": (1, 1.0, 1.0, 0, 2 / 5),  # of five samples after a two were b
        "ac": (1, 0.0, 0.0, 0, 1 / 5),
        "bc": (0, 0.0, 0.0, 0, 1.0),  # seen by rollouts only
        "ad": (1, 0.0, 0.0, 0, 2 / 5),
    } | {"": (2, (0.375 * 2 + 0) / 3, 0.0, 0, 0.0)}


def test_whole_rollouts_as_candidates_need_one_pass():
    builder = run_policy(
        letters("ab"),
        config(candidates="rollouts", keep_rollouts=True, prior="share", expansions=4, rollouts=1, iterations=1),
        [[sample_of("a", "b", "answer ab"), sample_of("A", "c"), sample_of("b", "b"), sample_of("b", "x", "c")]],
    )
    assert shape(builder.tree) == {
        "": (1, 0.25, 0.0, 0, 0.0),
        "a": (1, 0.5, 0.5, 2, 0.5),
        "ab": (0, 1.0, 1.0, 0, 0.5),
        "ac": (0, 0.0, 0.0, 0, 0.5),
        "b": (1, 0.0, 0.0, 2, 0.5),
        "bb": (0, 0.0, 0.0, 0, 1.0),
    }


def test_a_candidate_counts_as_its_first_rollout():
    builder = run_policy(
        letters("ab"),
        config(candidates="rollouts", prior="share", expansions=3, rollouts=3, iterations=1),
        [[sample_of("a", "b"), sample_of("a", "c"), sample_of("b", "b")]],
        [[sample_of("b")], [sample_of("c"), sample_of("d")]],
    )
    assert shape(builder.tree) == {
        "": (1, 1 / 3, 0.0, 0, 0.0),
        "a": (1, 2 / 3, 2 / 3, 3, 2 / 3),
        "b": (1, 0.0, 0.0, 3, 1 / 3),
    }


def test_only_the_most_likely_new_nodes_are_rolled_out():
    builder = run_policy(
        letters("ab"),
        config(rollout_children=1, prior="share", expansions=3, rollouts=1, iterations=2),
        [[sample_of("b", **STEP), sample_of("a", **STEP), sample_of("a", **STEP)]],
        [[sample_of("b")]],
        # PUCT: a 1 + 2/3 * 1 / 2, b (guessed 1) 1 + 1/3 * 1 / 1: equal, and b was first
        [[sample_of("a", **STEP), sample_of("a", **STEP), sample_of("a", **STEP)]],
    )
    assert shape(builder.tree) == {
        "": (2, 0.5, 0.0, 0, 0.0),
        "b": (1, 0.0, 0.0, 0, 1 / 3),  # no reward of its own: its child's 0
        "a": (1, 1.0, 1.0, 1, 2 / 3),
        "ba": (1, 0.0, 0.0, 0, 1.0),
    }


def test_priors_from_log_probabilities_are_a_softmax_of_means_per_token():
    builder = run_policy(
        letters("ab"),
        config(prior="logprob", rollouts=0, iterations=1),
        [[sample_of("a", logprobs=(-1.0, -3.0), **STEP), sample_of("b", logprobs=(-1.0,), **STEP)]],
    )
    a, b = math.exp(-2), math.exp(-1)
    assert [node.prior for node in builder.tree.nodes[1:]] == pytest.approx([a / (a + b), b / (a + b)])


def test_equal_steps_can_stay_apart():
    builder = run_policy(
        letters("a"), config(merge_equal_steps=False), [[sample_of("a", **STEP), sample_of("a", **STEP)]]
    )
    assert [node.facts["path"] for node in builder.tree.nodes] == ["", "a", "a"]


def test_a_node_without_allowed_steps_is_a_dead_end():
    builder = run_policy(letters("ab"), config(), [[sample_of("x", **STEP), sample_of("", **STEP)]])
    assert len(builder.tree.nodes) == 1 and builder.tree.iterations == 1


def test_depth_is_limited():
    builder = run_policy(
        letters("abc"),
        config(max_depth=2, rollouts=1, expansions=1, keep_rollouts=True),
        [[sample_of("a", **STEP)]],
        [[sample_of("b", "c")]],
        [[sample_of("d", **STEP)]],
    )
    assert sorted(shape(builder.tree)) == ["", "a", "ab", "ad"]


@pytest.mark.parametrize(("counts", "done"), [((1, 2), True), ((0, 9), False), ((5, 1), False)])
def test_both_counts_are_needed(counts, done):
    assert has_enough(*counts, StopRule(right=1, wrong_distinct=2)) is done


def test_the_search_stops_when_the_rule_is_met():
    builder = run_policy(
        letters("ab"),
        config(candidates="rollouts", keep_rollouts=True, expansions=3, rollouts=1, stop=StopRule(wrong_distinct=1)),
        [[sample_of("a", "b"), sample_of("a", "c"), sample_of("b", "b")]],
    )
    assert builder.count_terminals() == (1, 2) and builder.tree.iterations == 1


@pytest.mark.parametrize(
    ("changes", "marks"),
    [
        ({"candidates": "rollouts", "rollouts": 1, "keep_rollouts": True}, set()),  # the quickstart's
        ({"keep_rollouts": True}, {"kept rollouts"}),
        ({"count_evaluation": False}, {"closed terminals"}),
        ({"count_evaluation": False, "close_finished": False}, set()),
    ],
)
def test_keys_are_new_where_trees_are(changes, marks):
    """Trees of these options were built otherwise before, so keys contain a mark; later options at their defaults are
    not in keys at all."""
    found = semantic_values(config(stop=StopRule(), **changes))
    assert found.keys() & {"kept rollouts", "closed terminals"} == marks
    assert "prune_below" not in found and found["stop"] == {"right": 1, "wrong_distinct": 2, "patience": None}
