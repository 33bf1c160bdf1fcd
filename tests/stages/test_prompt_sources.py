import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.tables import write_table
from astro_factory.core.trees import Tree, TreeNode, tree_schema
from astro_factory.stages.problems.pass_rate import RATES_FILE, _rate_schema
from astro_factory.stages.prompt_sources import known_rates, states_of

PROBLEMS = [Problem(name, name, "1", "says") for name in ("a", "b", "c")]


def end(parent: int, prior: float, verdict: str) -> TreeNode:
    return TreeNode(parent, "step", prior=prior, terminal=True, verdict=verdict, answer="x")


def test_rates_of_trees_count_ends_by_how_likely_the_policy_reaches_them(tmp_path):
    nodes = [TreeNode(-1, ""), end(0, 0.75, "correct"), TreeNode(0, "step", prior=0.25)]
    nodes += [end(2, 0.5, "correct"), end(2, 0.5, "incorrect")]
    trees = [Tree(PROBLEMS[1], nodes), Tree(Problem("other", "", "", "says"), nodes), Tree(PROBLEMS[2], nodes[:1])]
    write_table(tmp_path / "trees.parquet", [tree.as_row() for tree in trees], tree_schema())
    assert known_rates("trees", tmp_path, PROBLEMS, 8) == {1: (3 * 0.875, 3)}
    assert known_rates("trees", tmp_path, PROBLEMS, 2) == {1: (2 * 0.875, 2)}, "at most as many as a group"


def test_rates_of_pass_rate_leave_out_what_could_not_be_judged(tmp_path):
    rates = [("a", 0, 0.0), ("c", 32, 0.25), ("other", 8, 1.0)]
    rows = [{"id": name, "judged": judged, "solved": solved} for name, judged, solved in rates]
    write_table(tmp_path / RATES_FILE, rows, _rate_schema())
    assert known_rates("medium", tmp_path, PROBLEMS, 8) == {2: (2, 8)}
    with pytest.raises(UserError, match=r"E526 difficulty\.rates names 'medium', which knows none of the 2 problems"):
        known_rates("medium", tmp_path, PROBLEMS[:2], 8)


def test_other_problems_have_no_rates(tmp_path):
    with pytest.raises(UserError, match=r"E525 difficulty\.rates names 'train', which has no pass rates"):
        known_rates("train", tmp_path, PROBLEMS, 8)


def test_trees_whose_ends_agree_give_no_state(tmp_path):
    trees = [Tree(PROBLEMS[0], [TreeNode(-1, ""), TreeNode(0, "step", prior=1.0), end(1, 1.0, "correct")])]
    write_table(tmp_path / "trees.parquet", [tree.as_row() for tree in trees], tree_schema())
    with pytest.raises(
        UserError, match=r"E527 start_from names 'trees', but no node of these trees has right and wrong"
    ):
        states_of("trees", tmp_path)
