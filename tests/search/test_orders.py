"""Beam, depth-first and breadth-first search worked out by hand, and self-evaluation."""

import pytest
from pydantic import TypeAdapter, ValidationError

from astro_factory.core.errors import UserError
from astro_factory.search.config import BeamConfig, BfsConfig, DfsConfig, PolicyConfig
from astro_factory.search.driver import policy_for
from tests.search.toy import Letters, builder_for, letters, sample_of, shape

STEP = {"finish": "stop"}
OPINION = {"prompt": "{question} | {steps} ?", "votes": 2}


def steps(*texts: str) -> list:
    return [sample_of(text, **STEP) for text in texts]


def votes(*texts: str) -> list:
    return [sample_of(text) for text in texts]


def config(kind: str, **fields):
    base = {"kind": kind, "expansions": 3, "prior": "share"} | ({} if kind == "beam" else {"max_depth": 9})
    return TypeAdapter(PolicyConfig).validate_python(base | fields)


def run_policy(problem, config, *rounds):
    """The builder after these rounds, each with the samples for every request. The policy must request all of them."""
    builder = builder_for(problem, config)
    run = policy_for(config)(builder, config)
    requests = next(run)
    for number, samples in enumerate(rounds):
        assert [len(r.seeds) for r in requests] == [len(s) for s in samples]
        try:
            requests = run.send(samples)
        except StopIteration:
            assert number == len(rounds) - 1
            return builder
    raise AssertionError(f"the search also requests {requests}")


def test_a_beam_keeps_the_most_likely_paths():
    builder = run_policy(
        letters("aab"),
        config("beam", width=2),
        [steps("a", "a", "b")],
        # a 2/3, b 1/3
        [steps("a", "b", "b"), steps("c", "c", "c")],
        # ab 4/9, bc 1/3, aa 2/9
        [steps("a", "b", "b"), steps("d", "d", "d")],
    )
    assert shape(builder.tree) == {
        "": (3, 0.0, 0.0, 0, 0.0),
        "a": (2, 0.0, 0.0, 0, 2 / 3),
        "b": (1, 0.0, 0.0, 0, 1 / 3),
        "aa": (0, 0.0, 0.0, 0, 1 / 3),
        "ab": (2, 0.0, 0.0, 0, 2 / 3),
        "bc": (1, 0.0, 0.0, 0, 1.0),
        "aba": (1, 0.0, 0.0, 0, 1 / 3),
        "abb": (1, 0.0, 0.0, 0, 2 / 3),
        "bcd": (1, 0.0, 0.0, 0, 1.0),
    }
    assert builder.tree.iterations == 5


def test_a_beam_ranked_by_self_evaluation_asks_about_every_open_state():
    builder = run_policy(
        letters("ab"),
        config("beam", width=1, rank="self_evaluation", self_evaluation=OPINION),
        [steps("a", "b", "b")],
        [votes("yes", "Yes, it is"), votes("no", "yes")],  # b first, which is more likely
        [steps("b", "b", "b")],
    )
    assert shape(builder.tree) == {
        "": (1, 0.0, 0.0, 0, 0.0),
        "a": (0, 0.5, 0.5, 2, 1 / 3),
        "b": (1, 0.0, 1.0, 2, 2 / 3),
        "bb": (1, 0.0, 0.0, 0, 1.0),
    }
    evaluations = [call for call in builder.tree.calls if call.purpose == "evaluation"]
    assert [call.node for call in evaluations] == [2, 2, 1, 1]


def test_depth_first_backtracks_at_every_terminal():
    builder = run_policy(
        letters("ab"),
        config("dfs"),
        [steps("a", "b", "b")],
        [steps("a", "c", "d")],  # below b
        [steps("b", "b", "x")],  # below a
    )
    assert shape(builder.tree) == {
        "": (4, 0.25, 0.0, 0, 0.0),
        "b": (3, 0.0, 0.0, 0, 2 / 3),
        "ba": (1, 0.0, 0.0, 0, 1 / 3),
        "bc": (1, 0.0, 0.0, 0, 1 / 3),
        "bd": (1, 0.0, 0.0, 0, 1 / 3),
        "a": (1, 1.0, 0.0, 0, 1 / 3),
        "ab": (1, 1.0, 1.0, 0, 1.0),
    }


def test_depth_first_goes_deeper_first():
    builder = run_policy(
        letters("abc"),
        config("dfs", max_expansions=9, max_depth=3),
        [steps("a", "a", "b")],
        [steps("b", "b", "c")],  # a
        [steps("d", "d", "d")],  # ab
        [steps("x", "x", "x")],  # ac: a dead end
        [steps("d", "d", "d")],  # b
        [steps("x", "x", "x")],  # bd
    )
    assert builder.tree.iterations == 6 and sorted(shape(builder.tree)) == ["", "a", "ab", "abd", "ac", "b", "bd"]


def test_breadth_first_expands_whole_levels_within_its_budget():
    builder = run_policy(
        letters("abc"),
        config("bfs", max_expansions=4, max_depth=3),
        [steps("a", "a", "b")],
        [steps("a", "b", "b"), steps("c", "c", "c")],
        [steps("c", "c", "c")],  # ab; then the budget is spent
    )
    assert builder.tree.iterations == 4
    assert sorted(shape(builder.tree)) == ["", "a", "aa", "ab", "abc", "b", "bc"]
    assert shape(builder.tree)[""] == (1, 1.0, 0.0, 0, 0.0)


@pytest.mark.parametrize("kind", ["dfs", "bfs"])
def test_unlikely_steps_are_pruned(kind):
    builder = run_policy(letters("ab"), config(kind, prune_below=0.5), [steps("a", "a", "b")], [steps("b", "b", "b")])
    assert sorted(shape(builder.tree)) == ["", "a", "ab", "b"]


@pytest.mark.parametrize("kind", ["beam", "dfs", "bfs"])
def test_the_stop_rule_ends_them_too(kind):
    builder = run_policy(letters("a"), config(kind, stop={"wrong_distinct": 1}), [steps("a", "b", "b")])
    assert builder.count_terminals() == (1, 1)
    builder = run_policy(letters("ab"), config(kind, stop={"right": 9, "patience": 1}), [steps("a", "b", "b")])
    assert builder.count_terminals() == (0, 0)


def test_self_evaluation_can_replace_rollouts():
    builder = run_policy(
        letters("ab"),
        config(
            "mcts", value="self_evaluation", self_evaluation=OPINION, expansions=2, iterations=9, count_evaluation=True
        ),
        [steps("a", "b")],
        [votes("no", "no"), votes(" Yes", "maybe")],
        [steps("b", "c")],  # b: 0.5 + 0.5 * 1 / 2 against a: 0 + 0.5 * 1 / 2
        [steps("b", "c")],
    )
    assert shape(builder.tree) == {
        "": (3, (1 / 3 * 2 + 1 / 6 * 2) / 4, 0.0, 0, 0.0),
        "a": (2, (1 + 0 + 0) / 3, 0.0, 2, 0.5),
        "b": (2, (0 + 0 + 0.5) / 3, 0.5, 2, 0.5),
        "ab": (1, 1.0, 1.0, 0, 0.5),
        "ac": (1, 0.0, 0.0, 0, 0.5),
        "bb": (1, 0.0, 0.0, 0, 0.5),
        "bc": (1, 0.0, 0.0, 0, 0.5),
    }


def test_value_terminals_counts_only_verdicts():
    builder = run_policy(
        letters("ab"),
        config("mcts", value="terminals", expansions=2, iterations=9),
        [steps("a", "b")],
        [steps("b", "b")],  # a and b have equal scores; a was first
        [steps("c", "c")],
    )
    assert shape(builder.tree) == {
        "": (3, (1.0 * 1 + 0.0 * 1) / 2, 0.0, 0, 0.0),
        "a": (1, 1.0, 0.0, 0, 0.5),
        "b": (1, 0.0, 0.0, 0, 0.5),
        "ab": (1, 1.0, 1.0, 0, 1.0),
        "bc": (1, 0.0, 0.0, 0, 1.0),
    }


def test_more_rollouts_only_where_the_first_disagree():
    builder = run_policy(
        letters("ab"),
        config("mcts", expansions=2, rollouts=4, first_rollouts=2, iterations=1, count_evaluation=True),
        [steps("a", "b")],
        [[sample_of("b"), sample_of("c")], [sample_of("c"), sample_of("d")]],
        [[sample_of("b"), sample_of("b")]],
    )
    assert shape(builder.tree) == {
        "": (1, 0.375, 0.0, 0, 0.0),
        "a": (1, 0.75, 0.75, 4, 0.5),
        "b": (1, 0.0, 0.0, 2, 0.5),
    }


def test_patience_ends_a_search_that_finds_nothing_new():
    builder = run_policy(
        letters("abcd"),
        config("mcts", expansions=1, rollouts=0, iterations=9, stop={"patience": 2}),
        [steps("a")],
        [steps("b")],
    )
    assert builder.tree.iterations == 2


MISTAKES = {
    "dfs budget": {"kind": "dfs", "max_expansions": 49},
    "bfs budget": {"kind": "bfs", "max_expansions": 2, "max_depth": 3},
    "terminals out of reach": {"kind": "mcts", "value": "terminals"},
    "no self_evaluation": {"kind": "mcts", "value": "self_evaluation"},
    "candidates": {"kind": "mcts", "value": "terminals", "candidates": "rollouts"},
    "no self_evaluation to rank by": {"kind": "beam", "rank": "self_evaluation"},
    "prompt without steps": {"kind": "beam", "self_evaluation": {"prompt": "{question}"}},
    "prompt without question": {"kind": "mcts", "user_prompt": "solve it"},
}


@pytest.mark.parametrize("fields", MISTAKES.values(), ids=MISTAKES)
def test_invalid_policies(fields, golden):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(PolicyConfig).validate_python(fields)
    [error] = caught.value.errors()
    golden(error["msg"])


def test_defaults_are_valid():
    assert (BeamConfig(kind="beam").width, DfsConfig(kind="dfs").max_expansions) == (8, 64)
    assert BfsConfig(kind="bfs").prune_below == 0.0


class Valued(Letters):
    """Letters whose states have values by their last letter; `d` has none."""

    def value(self, problem, steps):
        return {"a": 0.9, "b": 0.2, "c": 0.6, "d": None, "x": 7.0}[steps[-1] if steps else "d"]


def valued(monkeypatch, problem, policy, *rounds):
    monkeypatch.setattr("tests.search.toy.Letters", Valued)
    return run_policy(problem, policy, *rounds)


def test_depth_first_search_follows_the_verifiers_values(monkeypatch):
    builder = valued(
        monkeypatch,
        letters("acb"),
        config("dfs", value="verifier", prune_below=0.5, expansions=4),
        [steps("b", "c", "a", "a")],
        [steps("c", "d", "d", "d")],  # a: 0.9. ad has no value, so that of a counts, and it goes before ac
        [steps("b", "b", "b", "b")],  # ad
        [steps("b", "b", "b", "b")],  # ac: 0.6
        [steps("b", "b", "b", "b")],  # c: 0.6, while b is pruned
    )
    assert [builder.tree.nodes[call.node].facts["path"] for call in builder.tree.calls[::4]] == [
        "",
        "a",
        "ad",
        "ac",
        "c",
    ]
    assert shape(builder.tree)["cb"] == (0, 0.2, 0.2, 1, 1.0)


def test_beam_and_mcts_use_the_verifiers_values(monkeypatch):
    builder = valued(
        monkeypatch,
        letters("ab"),
        config("beam", rank="verifier", width=1),
        [steps("b", "a", "c")],
        [steps("b", "b", "c")],
    )
    assert shape(builder.tree)["ab"][1] == 1.0
    builder = valued(
        monkeypatch,
        letters("ab"),
        config("mcts", value="verifier", prior="uniform", prune_below=0.5, iterations=4, max_depth=2),
        [steps("b", "a", "c")],
        [steps("b", "b", "c")],  # a: 0.9
        [steps("b", "b", "c")],  # c: 0.6
    )
    assert shape(builder.tree)["a"] == (1, (0.9 + 1 + 0) / 3, 0.9, 1, 1 / 3)
    assert builder.tree.iterations == 3


def test_a_value_that_is_no_chance(monkeypatch, golden):
    monkeypatch.setattr(Valued, "complete_step", lambda *_: "x")
    with pytest.raises(UserError) as caught:
        valued(monkeypatch, letters("ab"), config("dfs", value="verifier"), [steps("a", "a", "a")])
    assert caught.value.diagnostics[0].code == "E622"
    golden(str(caught.value))


def test_votes_and_values_do_not_mix():
    for fields in ({"kind": "dfs", "value": "verifier"}, {"kind": "beam", "rank": "verifier"}):
        with pytest.raises(ValidationError, match="uses no votes"):
            config(**fields, self_evaluation=OPINION)
    with pytest.raises(ValidationError, match="needs the section"):
        config("bfs", value="self_evaluation")
