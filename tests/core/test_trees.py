from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.trees import Call, Tree, TreeNode, read_trees, tree_schema


def make_tree() -> Tree:
    problem = Problem("p", "numbers 4 10 3 target 17", "17", "countdown", {"numbers": [4, 10, 3]}, "3 numbers")
    nodes = [
        TreeNode(-1, "", facts={"left": "4 10 3"}),
        TreeNode(0, "10 + 3 = 13 left 4 13", prior=0.25, visits=3, value=0.5, facts={"left": "4 13"}),
        TreeNode(
            1, "4 + 13 = 17 left 17", terminal=True, verdict="correct", answer="17", closing="answer 4 + ( 10 + 3 )"
        ),
    ]
    return Tree(problem, nodes, [Call(0, "step", 2**62, "ab12", (1, 2), (-0.5, -1.0))], tokens=12, iterations=4)


def test_row_and_back():
    tree = make_tree()
    assert Tree.from_row(tree.as_row()) == tree


def test_table_and_back_with_or_without_calls(tmp_path):
    tree = make_tree()
    write_table(tmp_path / "trees.parquet", [tree.as_row()], tree_schema())
    (read,) = read_trees(tmp_path / "trees.parquet")
    assert (read.problem, read.nodes) == (tree.problem, tree.nodes)
    assert read.calls == []
    assert [Tree.from_row(row) for row in read_table(tmp_path / "trees.parquet")] == [tree]


def test_path_leads_from_the_root():
    assert make_tree().path(2) == [1, 2]
    assert make_tree().path(0) == []
