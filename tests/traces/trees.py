"""Trees for tests of traces: countdown with real arithmetic, and random trees in the shape of a search."""

from itertools import combinations

from hypothesis import strategies as st

from astro_factory.core.problems import Problem
from astro_factory.core.trees import Tree, TreeNode


def countdown_tree(numbers: tuple[int, ...] = (4, 10, 3), target: int = 17, name: str = "cd") -> Tree:
    """Every way to combine the numbers by addition and subtraction (larger minus smaller)."""
    problem = Problem(name, f"numbers {' '.join(map(str, numbers))} target {target}", str(target), "countdown")
    tree = Tree(problem, [TreeNode(-1, "", facts=_facts(numbers, target))])
    _grow(tree, 0, numbers, target)
    return tree


def _facts(left: tuple[int, ...], target: int) -> dict[str, str]:
    numbers = " ".join(map(str, left))
    return {"left": numbers, "state": numbers, "target": str(target)}


def _grow(tree: Tree, parent: int, numbers: tuple[int, ...], target: int) -> None:
    for i, j in combinations(range(len(numbers)), 2):
        high, low = max(numbers[i], numbers[j]), min(numbers[i], numbers[j])
        for sign, result in (("+", high + low), ("-", high - low)):
            left = (*(n for k, n in enumerate(numbers) if k not in (i, j)), result)
            text = f"{high} {sign} {low} = {result} left {' '.join(map(str, left))}"
            facts = _facts(left, target) | {"result": str(result), "check": f"{result} {target}"}
            node = TreeNode(parent, text, prior=1 / (1 + len(tree.nodes)), facts=facts)
            tree.nodes.append(node)
            if len(left) == 1:
                node.terminal, node.answer = True, str(result)
                node.verdict = "correct" if result == target else "incorrect"
                node.closing = f"answer {result}"
            else:
                _grow(tree, len(tree.nodes) - 1, left, target)


@st.composite
def random_trees(draw: st.DrawFn) -> Tree:
    """Up to forty steps; every leaf is a terminal, all texts differ, and at least one terminal is correct."""
    parents = draw(st.lists(st.integers(0, 1000), min_size=1, max_size=40))
    nodes = [TreeNode(-1, "", facts={"left": "begin"})]
    for index, choice in enumerate(parents, start=1):
        prior, value = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])), draw(st.sampled_from([0.0, 0.5, 1.0]))
        facts = {"left": f"state {index}", "result": str(index), "target": "7"}
        facts |= {"check": f"{index} is not 7", "state": f"place {index}"}
        nodes.append(
            TreeNode(choice % index, f"step {index} {'x' * (choice % 3)}", prior=prior, value=value, facts=facts)
        )
    inner = {node.parent for node in nodes}
    leaves = [node for index, node in enumerate(nodes) if index not in inner]
    for node in leaves:
        node.terminal, node.answer = True, draw(st.sampled_from("abcd"))
        node.verdict, node.closing = draw(
            st.sampled_from([("incorrect", ""), ("no_answer", ""), ("correct", "answer 7")])
        )
    leaves[-1].verdict, leaves[-1].closing = "correct", "answer 7"
    return Tree(Problem("p", "what?", "7", "sample"), nodes)
