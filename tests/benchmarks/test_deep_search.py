"""The benchmark of deep puzzles, without its model."""

from itertools import islice

from astro_factory.core.trees import Call, Tree, TreeNode
from astro_factory.search.tree_builder import TreeBuilder
from astro_factory.verifiers.countdown_puzzles import split_of
from benchmarks.deep_search import NUMBERS, Exact, policy, puzzles, solved_within, table, walk
from tests.search.toy import builder_for, letters, sample_of


def test_puzzles_are_solvable_and_of_their_split():
    found = list(islice(puzzles("dev"), 4))
    assert found == list(islice(puzzles("dev"), 4)) and len({problem.id for problem in found}) == 4
    for problem in found:
        assert len(problem.info["numbers"]) in NUMBERS and split_of(problem.info["numbers"]) == "dev"
        assert Exact().check_problem(problem) is None
        assert Exact().value(problem, []) == 1.0


def test_the_control_samples_paths_step_by_step_until_one_is_right():
    config = policy("samples", options={"rounds": 3, "together": 2, "step_tokens": 4})
    builder: TreeBuilder = builder_for(letters("ab"), config)
    run, asked = walk(builder, config), []
    answers = None
    for texts in (["a", "b"], ["c", "b"], ["a", "x"], ["b"], None):
        try:
            requests = next(run) if answers is None else run.send(answers)
        except StopIteration:
            break
        asked.append([len(request.seeds) for request in requests])
        samples = iter([sample_of(text, finish="stop") for text in texts])
        answers = [[next(samples) for _ in request.seeds] for request in requests]
    assert asked == [[2], [1, 1], [2], [1]]  # both, each on its own; of the second pair one is no step
    assert builder.tree.iterations == 4 and builder.count_terminals() == (1, 2)


def tree(problem, tokens, verdict) -> Tree:
    nodes = [TreeNode(-1, ""), TreeNode(0, "s", terminal=True, verdict=verdict)]
    return Tree(problem, nodes, [Call(0, "step", 0, "", (), ())], tokens)


def test_equal_tokens():
    first = next(puzzles("test"))
    assert solved_within(tree(first, 200, "correct"), 200)
    assert not solved_within(tree(first, 201, "correct"), 200) and not solved_within(tree(first, 9, "incorrect"), 200)
    many = list(islice(puzzles("test"), 12))
    trees = {
        "samples": [[tree(problem, 100 + 200 * (place % 2), "correct") for place, problem in enumerate(many)]] * 2,
        "dfs": [[tree(problem, 90, "correct") for problem in many]] * 2,
    }
    _, samples, dfs = table(trees, [200])
    assert samples.startswith("samples     200  0.500 [") and samples.endswith(" 1.0 [1.0, 1.0]")
    assert dfs.startswith("dfs         200  1.000 [1.000, 1.000]   2.0 [")
