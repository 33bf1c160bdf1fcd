"""The terminals of a search tree that a trace can use, and how likely the policy reaches each of them."""

from collections.abc import Collection, Sequence
from functools import cached_property
from math import log
from random import Random
from sys import float_info
from typing import Literal

from astro_factory.core.trees import Tree
from astro_factory.core.verdicts import Outcome

Draw = Literal["policy", "uniform"]


class Terminals:
    """Correct and incorrect terminals, with their weights in a draw."""

    def __init__(self, tree: Tree, draw: Draw = "policy", trusted: Collection[int] | None = None):
        """`trusted`: the correct terminals that a trace may end at; None for all."""
        terminals = [(index, tree.nodes[index]) for index in tree.terminals()]
        self._tree = tree
        self.all_correct = [index for index, node in terminals if node.verdict == Outcome.CORRECT]
        """All correct terminals, trusted or not."""
        self.correct = [index for index in self.all_correct if trusted is None or index in trusted]
        self.incorrect = [index for index, node in terminals if node.verdict == Outcome.INCORRECT and node.answer]
        self.answers = {index: tree.nodes[index].answer for index in self.incorrect}
        """Answers of the incorrect terminals."""
        indices = self.correct + self.incorrect
        self.weights = _reach_probabilities(tree, indices) if draw == "policy" else dict.fromkeys(indices, 1.0)

    @cached_property
    def leading_to_correct(self) -> set[int]:
        """The nodes at or above a correct terminal, trusted or not."""
        return {0}.union(*map(self._tree.path, self.all_correct))

    def shuffled(self, random: Random) -> list[int]:
        """All terminals in random order, as if drawn by weight without replacement.

        Each terminal gets an exponential clock with its weight as rate; the order is that in which the clocks ring.
        """
        clocks = {index: -log(1.0 - random.random()) / weight for index, weight in self.weights.items()}
        return sorted(clocks, key=clocks.__getitem__)

    def distinct(self, order: Sequence[int]) -> list[int]:
        """The incorrect terminals of an order, the first of each answer."""
        first: dict[str, int] = {}
        for index in order:
            if index in self.answers:
                first.setdefault(self.answers[index], index)
        return list(first.values())

    def all_wrong(self, order: Sequence[int]) -> list[int]:
        """The incorrect terminals of an order, whatever their answers."""
        return [index for index in order if index in self.answers]


def _reach_probabilities(tree: Tree, indices: Sequence[int]) -> dict[int, float]:
    """For each node, the probability that a walk from the root along the priors reaches it.

    A node without a prior (a step that occurs only in rollouts) counts as much as its least likely sibling.
    """
    least: dict[int, float] = {}
    for node in tree.nodes[1:]:
        if node.prior > 0:
            least[node.parent] = min(node.prior, least.get(node.parent, node.prior))
    priors = [node.prior if node.prior > 0 else least.get(node.parent, 1.0) for node in tree.nodes]
    totals = [0.0] * len(tree.nodes)
    for node, prior in zip(tree.nodes[1:], priors[1:], strict=True):
        totals[node.parent] += prior
    reach = [1.0] * len(tree.nodes)
    for index, node in enumerate(tree.nodes[1:], start=1):
        reach[index] = reach[node.parent] * priors[index] / totals[node.parent]
    return {index: max(reach[index], float_info.min) for index in indices}
