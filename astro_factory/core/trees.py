"""Search trees: plain data, written by `search`, read by `traces`, reports and viewers.

A tree is a list of nodes in the order of their making; node 0 is the root (no step), a child stands after its parent.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from astro_factory.core.problems import Problem


@dataclass(slots=True)
class Node:
    """One step of a solution. Symbols are those of the paper's section 2."""

    parent: int
    """Index of the parent; -1 at the root."""
    text: str
    """The step as the model wrote it (or as the domain completed it), without the delimiter; empty at the root."""
    prior: float = 0.0
    """P(a|S): the policy's prior of this step among its siblings."""
    visits: int = 0
    """N(S, a)."""
    value: float = 0.0
    """Q(S, a), in the units of the verifier's score (0 to 1)."""
    reward: float = 0.0
    """R: mean score of this node's own rollouts."""
    rollouts: int = 0
    """How many rollouts R is the mean of."""
    terminal: bool = False
    verdict: str = ""
    """Of a terminal: a `core.verdicts.Outcome` value."""
    answer: str = ""
    """Of a terminal: the extracted answer, by which wrong branches are told apart."""
    closing: str = ""
    """Of a terminal: the line that states the answer where the domain writes it apart from the last step."""
    facts: dict[str, str] = field(default_factory=dict)
    """What the domain knows of the state after this step (countdown: `left`, `result`), for templates."""


@dataclass(slots=True)
class Tree:
    """One problem's search tree with what it cost."""

    problem: Problem
    nodes: list[Node]
    calls: list[dict[str, Any]] = field(default_factory=list)
    """Every model call: node, seed, prompt digest, sampled ids, log-probabilities."""
    tokens: int = 0
    """Tokens sampled for this tree."""
    iterations: int = 0

    def children(self, index: int) -> list[int]:
        return [i for i, node in enumerate(self.nodes) if node.parent == index]

    def path(self, index: int) -> list[int]:
        """Indices from the root's first child down to `index`; empty for the root."""
        path = []
        while index > 0:
            path.append(index)
            index = self.nodes[index].parent
        return path[::-1]

    def terminals(self) -> list[int]:
        return [i for i, node in enumerate(self.nodes) if node.terminal]

    def as_row(self) -> dict[str, Any]:
        """The row of `trees.parquet`; the problem stands as its own columns under `problem`."""
        return asdict(self) | {"problem": self.problem.as_row()}
