"""Algorithm 1 of the paper: from a search tree to the order in which a trace visits its nodes.

A sequence starts at the root (node 0) and ends at a correct terminal. An element after another is
- a step, where it is a child of the one before;
- a pause, where it is the same: the trace looks back and finds it good;
- a jump in all other cases: the trace finds the terminal before it wrong and goes back to this node.

Invariants: the end is correct; no wrong answer is reached twice; every jump leaves a wrong terminal. In this tree,

    0 -> 1 -> 2 (wrong)      [0, 1, 2, 1, 3, 0, 4, 5] goes wrong twice: back to the step before,
         1 -> 3 (wrong)      then back to the root.
    0 -> 4 -> 5 (right)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from random import Random
from sys import float_info
from typing import Any, Literal

from pydantic import Field

from astro_factory.core.config import Config
from astro_factory.core.trees import Tree
from astro_factory.core.verdicts import Outcome
from astro_factory.traces.branches import draw_count

Merge = Literal["deepest", "root"]
Draw = Literal["policy", "uniform"]


class Confirm(Config):
    """Pauses in the middle: "seems to be correct so far" after steps that the search values highly."""

    min_value: float = Field(0.9, ge=0, le=1)
    """Lowest Q of a step that is confirmed."""
    share: float = Field(0.3, ge=0, le=1)
    """Share of these steps that are."""


@dataclass(frozen=True, slots=True)
class SequenceOptions:
    """What decides a sequence besides the tree and the seed."""

    wrong_branches: Any = (0, 2)
    """A `branches.WrongBranches` value."""
    at_least: int = 0
    """Lowest number of wrong branches, whatever is drawn."""
    merge: Merge = "deepest"
    draw: Draw = "policy"
    confirm: Confirm | None = None


class Terminals:
    """The ends of a tree that a trace can use, with the policy's probability of coming to each."""

    def __init__(self, tree: Tree, draw: Draw = "policy"):
        ends = [(index, tree.nodes[index]) for index in tree.terminals()]
        self.right = [index for index, node in ends if node.verdict == Outcome.CORRECT]
        self.wrong = [index for index, node in ends if node.verdict == Outcome.INCORRECT and node.answer]
        self.answers = {index: tree.nodes[index].answer for index in self.wrong}
        indices = self.right + self.wrong
        self.weights = _reach(tree, indices) if draw == "policy" else dict.fromkeys(indices, 1.0)

    def shuffled(self, random: Random) -> list[int]:
        """All of them in a random order: as if drawn one after another by weight, without putting back.

        The one that comes first is the one whose exponential clock, of the weight's rate, rings first.
        """
        clocks = {index: -log(1.0 - random.random()) / weight for index, weight in self.weights.items()}
        return sorted(clocks, key=clocks.__getitem__)

    def distinct(self, order: Sequence[int]) -> list[int]:
        """The wrong ones of an order, the first of each answer."""
        first: dict[str, int] = {}
        for index in order:
            if index in self.answers:
                first.setdefault(self.answers[index], index)
        return list(first.values())


def sequence(tree: Tree, options: SequenceOptions, seed: int, terminals: Terminals | None = None) -> list[int] | None:
    """A node sequence, or None where the tree has no right end or fewer wrong ones than `at_least`.

    One random order of the terminals decides all: the first right one is n*, the first wrong ones with different
    answers are its detours, and how many came before n* is the natural number of failures. `terminals` may be handed
    in where several sequences are drawn from one tree.
    """
    terminals = terminals or Terminals(tree, options.draw)
    random = Random(seed)
    order = terminals.shuffled(random)
    right = next((index for index in order if index not in terminals.answers), None)
    wrong = terminals.distinct(order)
    if right is None or len(wrong) < options.at_least:
        return None
    natural = len(terminals.distinct(order[: order.index(right)]))
    count = max(draw_count(options.wrong_branches, natural, random), options.at_least)
    walked = walk(tree, wrong[:count], right, options.merge)
    return _with_pauses(tree, walked, options.confirm, random) if options.confirm else walked


def walk(tree: Tree, wrong: Sequence[int], right: int, merge: Merge = "deepest") -> list[int]:
    """The root paths of the wrong terminals and then of the right one, merged.

    `deepest` (Algorithm 1): each path goes on from its deepest node already visited. `root`: each starts anew.
    """
    visited, seen = [0], {0}
    for leaf in [*wrong, right]:
        path = [0, *tree.path(leaf)]
        known = sum(node in seen for node in path) if merge == "deepest" else 1
        if len(visited) > 1:
            visited.append(path[known - 1])
        visited += path[known:]
        seen.update(path)
    return visited


def _with_pauses(tree: Tree, walked: list[int], confirm: Confirm, random: Random) -> list[int]:
    """Highly valued steps, some of them repeated where they are first walked; ends are judged anyway."""
    paused = walked[:1]
    for previous, index in pairwise(walked):
        node = tree.nodes[index]
        first = node.parent == previous and index not in paused
        paused.append(index)
        if first and not node.terminal and node.value >= confirm.min_value and random.random() < confirm.share:
            paused.append(index)
    return paused


def _reach(tree: Tree, indices: Sequence[int]) -> dict[int, float]:
    """For each node, the probability that a walk from the root along the priors comes to it.

    A node without a prior (a step that only a rollout took) counts as its least likely sibling.
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
