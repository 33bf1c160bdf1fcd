"""A small search tree to try templates on when no real one is available."""

from zlib import crc32

from astro_factory.core.problems import Problem
from astro_factory.core.trees import Tree, TreeNode
from astro_factory.core.verdicts import Outcome

SEQUENCE = (0, 1, 1, 2, 1, 3, 0, 4, 5)
"""Over the sample tree: a pause, a wrong terminal, a backtrack, another wrong terminal, a restart, the correct one."""


class _AnyFacts(dict[str, str]):
    """Has every fact, as a number: which facts exist depends on the verifier."""

    def __init__(self, factor: int):
        self._factor = factor

    def __missing__(self, key: str) -> str:
        return str((crc32(str(key).encode()) % 97 + 1) * self._factor)


def sample_tree(variant: int = 1) -> Tree:
    """A tree of five steps. Two variants share no words or numbers, so what two renderings share is literal text."""

    def node(index: int, parent: int, verdict: str = "") -> TreeNode:
        number = 1000 * variant + 7 * index
        return TreeNode(
            parent,
            f"step{number}" if index else "",
            value=0.9 / variant,
            terminal=bool(verdict),
            verdict=verdict,
            answer=str(number) if verdict else "",
            closing=f"answer{number}" if verdict else "",
            facts=_AnyFacts(variant * (index + 2)),
        )

    problem = Problem(f"sample{variant}", f"question{variant}", f"gold{variant}", "sample", _AnyFacts(variant))
    wrong, correct = Outcome.INCORRECT, Outcome.CORRECT
    nodes = [node(0, -1), node(1, 0), node(2, 1, wrong), node(3, 1, wrong), node(4, 0), node(5, 4, correct)]
    return Tree(problem, nodes)
