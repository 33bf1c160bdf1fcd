"""Searches on trees with known chances: when they end, and which policies reach the depth."""

import pytest

from astro_factory.search.config import StopRule
from benchmarks.synthetic_search import FLAGSHIP, POLICIES, deep, is_solved, problems, rates, search

BOTH = {"right": 4, "wrong_distinct": 4}
ALWAYS, NEVER, OFTEN = 1.0, 0.0, 0.9


@pytest.mark.parametrize(
    ("sound", "rule", "iterations"),
    [
        (ALWAYS, BOTH | {"solved": 16}, 1),
        (ALWAYS, BOTH, 6),
        (NEVER, BOTH | {"patience": 2}, 3),  # the first iteration finds all wrong answers
        (NEVER, BOTH, 6),
        (OFTEN, BOTH, 1),
        (OFTEN, BOTH | {"min_iterations": 4}, 4),
        (OFTEN, BOTH | {"min_iterations": 4, "solved": 16}, 4),  # wrong answers enough: not too easy
    ],
)
def test_when_a_tree_is_closed(sound, rule, iterations):
    policy = FLAGSHIP.model_copy(update={"iterations": 6, "stop": StopRule(**rule)})
    [problem] = problems(1, 4, sound)
    assert search(policy, problem).tree.iterations == iterations


def test_a_state_value_makes_a_deep_tree_tractable():
    solved = {
        name: sum(is_solved(search(policy, p)) for p in problems(12, 8, 0.45, 0.1)) for name, policy in POLICIES.items()
    }
    assert solved["samples"] <= 2
    assert min(solved[name] for name in ("mcts", "mcts, pruned", "dfs, pruned", "beam")) >= 5


def test_the_tables(capsys):
    rates(2, FLAGSHIP.model_copy(update={"iterations": 2}))
    deep(2, ["samples", "beam"])
    assert len(capsys.readouterr().out.splitlines()) == 8 + 4
