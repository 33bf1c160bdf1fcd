import dataclasses

import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.trees import read_trees_with_calls
from astro_factory.search.replay import Replay
from astro_factory.stages.search import Config
from tests.stages.test_search import LLAMA, POLICY, SCRIPTED, model, search  # noqa: F401  (a fixture)

POLICIES = {
    "mcts": POLICY,
    "separate rollouts": POLICY | {"prior": "logprob", "candidates": "steps", "first_rollouts": 1, "rollouts": 2},
    "self-evaluation": {"kind": "beam", "width": 2, "rank": "self_evaluation", "self_evaluation": {}, "max_depth": 4},
    "dfs": {"kind": "dfs", "max_depth": 3, "max_step_tokens": 6},
    "best_of_n": {"kind": "best_of_n", "n": 4, "max_rollout_tokens": 9},
}


def replayed(root, model, engine, policy):  # noqa: F811
    search(root, model, engine=engine, policy=policy)
    config = Config(kind="search", model="m", problems="p", policy=policy, engine=engine)
    trees = list(read_trees_with_calls(root / "out/trees.parquet"))
    return Replay(model, config.policy, config.seed), trees


@pytest.mark.slow
@pytest.mark.parametrize("engine", [SCRIPTED, LLAMA], ids=["scripted", "llama"])
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_trees_are_rebuilt_from_their_calls(tmp_path, model, engine, policy):  # noqa: F811
    replay, trees = replayed(tmp_path, model, engine, policy)
    assert sum(len(tree.calls) for tree in trees) > 12
    for tree in trees:
        assert replay.rebuild(tree) == tree


def test_a_tree_that_does_not_match_its_calls_is_detected(tmp_path, model, golden):  # noqa: F811
    replay, trees = replayed(tmp_path, model, SCRIPTED, POLICY)
    tree = trees[0]
    assert replay.reproduces(tree)
    changed = dataclasses.replace(tree, nodes=[*tree.nodes])
    changed.nodes[1] = dataclasses.replace(tree.nodes[1], value=0.77)
    assert not replay.reproduces(changed)
    fewer = dataclasses.replace(tree, calls=tree.calls[1:])
    assert not replay.reproduces(fewer)
    with pytest.raises(UserError) as caught:
        replay.rebuild(fewer)
    assert caught.value.diagnostics[0].code == "E618"
    golden(str(caught.value))
    assert replay.reproduces(trees[1])
