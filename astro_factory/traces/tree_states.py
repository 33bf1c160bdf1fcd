"""States of search trees from which a policy has to go on: the steps up to a node, and what the tree knows about it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from astro_factory.core.problems import Problem
from astro_factory.core.step_format import StepLayout, written
from astro_factory.core.trees import Tree
from astro_factory.core.verdicts import Outcome
from astro_factory.traces.terminals import Terminals


class Ends(NamedTuple):
    """The ends of a tree below a node."""

    rate: float
    """Share of right ends, each counted by how likely the policy reaches it."""
    number: int
    """How many of them have a verdict."""


class TreeState(NamedTuple):
    """A node from which some paths end right and others wrong."""

    problem: Problem
    """The tree's problem; its id names the node too."""
    beginning: str
    """The response up to the node, as traces write it, with the separator before the next step."""
    ends: Ends


def ends_below(tree: Tree) -> dict[int, Ends]:
    """The ends below (or at) each node that has any, the root included."""
    weights = Terminals(tree).weights
    right: dict[int, float] = {}
    total: dict[int, float] = {}
    count: dict[int, int] = {}
    for end, weight in weights.items():
        correct = tree.nodes[end].verdict == Outcome.CORRECT
        for node in (0, *tree.path(end)):
            right[node] = right.get(node, 0.0) + correct * weight
            total[node] = total.get(node, 0.0) + weight
            count[node] = count.get(node, 0) + 1
    return {node: Ends(right[node] / total[node], count[node]) for node in total}


def undecided_states(tree: Tree, layout: StepLayout) -> Iterator[TreeState]:
    """The states of a tree, without the root, below which there are right and wrong ends."""
    for node, ends in sorted(ends_below(tree).items()):
        if node and 0 < ends.rate < 1:
            steps = [tree.nodes[index].text for index in tree.path(node)]
            problem = replace(tree.problem, id=f"{tree.problem.id}#{node}")
            yield TreeState(problem, written(layout, steps) + layout.separator, ends)
