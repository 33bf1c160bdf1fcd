"""Algorithm 1 of the paper: from a search tree to the order in which a trace visits its nodes.

A sequence starts at the root (node 0) and ends at a correct terminal. An element after another is
- a step, where it is a child of the one before;
- a pause, where it is the same: the trace looks back and finds it good;
- a jump in all other cases: the trace finds the node before it wrong and goes back to this one.

Invariants: the end is correct; no wrong answer is reached twice (unless `distinct` is off); every jump leaves a wrong
terminal, or, with `early`, a step below which the search found nothing right. In this tree,

    0 -> 1 -> 2 (wrong)      [0, 1, 2, 1, 3, 0, 4, 5] goes wrong twice: back to the step before,
         1 -> 3 (wrong)      then back to the root.
    0 -> 4 -> 5 (right)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from random import Random
from typing import Any, Literal

from pydantic import Field

from astro_factory.core.config import Config
from astro_factory.core.trees import Tree
from astro_factory.traces.branch_counts import Bounds, draw_count
from astro_factory.traces.terminals import Draw, Terminals

Merge = Literal["deepest", "any", "root"]
Order = Literal["drawn", "near_last", "near_first"]


class Confirm(Config):
    """Pauses in the middle: "seems to be correct so far" after steps that the search values highly."""

    min_value: float = Field(0.9, ge=0, le=1)
    """Lowest Q of a step that is confirmed."""
    share: float = Field(0.3, ge=0, le=1)
    """Share of these steps that are."""


class Early(Config):
    """Going back before the end of a branch, at a step below which the search found no right end."""

    share: float = Field(0.5, ge=0, le=1)
    """Share of wrong branches that are given up early, where they have such a step."""
    steps: Bounds = (1, 100)
    """How many steps of the branch are taken first, at least and at most; all possible numbers are equally likely."""


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
    early: Early | None = None
    order: Order = "drawn"
    distinct: bool = True
    """Whether wrong ends have different answers."""


def sample_sequence(
    tree: Tree, options: SequenceOptions, seed: int, terminals: Terminals | None = None
) -> list[int] | None:
    """A node sequence, or None where the tree has no right end or fewer wrong ones than `at_least`.

    One random order of the terminals decides all: the first right one is n*, the first wrong ones with different
    answers are its detours, and how many came before n* is the natural number of failures. `terminals` may be handed
    in where several sequences are drawn from one tree.
    """
    terminals = terminals or Terminals(tree, options.draw)
    random = Random(seed)
    order = terminals.shuffled(random)
    right = next((index for index in order if index not in terminals.answers), None)
    detours = terminals.distinct if options.distinct else terminals.all_wrong
    wrong = detours(order)
    if right is None or len(wrong) < options.at_least:
        return None
    natural = len(detours(order[: order.index(right)]))
    count = max(draw_count(options.wrong_branches, natural, random), options.at_least)
    chosen = wrong[:count]
    if options.early:
        chosen = _given_up(tree, terminals, wrong, count, options.early, random)
    chosen = _ordered(tree, chosen, right, options.order)
    walked = merge_paths(tree, chosen, right, options.merge, random)
    return _with_pauses(tree, walked, options.confirm, random) if options.confirm else walked


def merge_paths(
    tree: Tree, wrong: Sequence[int], right: int, merge: Merge = "deepest", random: Random | None = None
) -> list[int]:
    """The root paths of the nodes that are found wrong and then of the right end, merged.

    `deepest` (Algorithm 1): each path goes on from its deepest node already visited. `root`: each starts anew. `any`:
    each goes on from one of its visited nodes, which `random` draws.
    """
    visited, seen = [0], {0}
    for leaf in [*wrong, right]:
        path = [0, *tree.path(leaf)]
        known = 1 if merge == "root" else sum(node in seen for node in path)
        if merge == "any" and random and len(visited) > 1:
            known = random.randint(1, known)
        if len(visited) > 1:
            visited.append(path[known - 1])
        visited += path[known:]
        seen.update(path)
    return visited


def _given_up(
    tree: Tree, terminals: Terminals, wrong: Iterable[int], count: int, early: Early, random: Random
) -> list[int]:
    """Up to `count` nodes to go back from: wrong ends, some of them cut to a step before.

    A step that was given up stays so: no later branch goes through it.
    """
    chosen: list[int] = []
    closed: set[int] = set()
    walked = {0}
    for leaf in wrong:
        path = tree.path(leaf)
        if len(chosen) == count:
            break
        if closed.intersection(path):
            continue
        new = [node for node in path if node not in walked]
        low, high = early.steps
        hopeless = [node for node in new[low - 1 if low else 0 : high] if _can_close(tree, terminals, node)]
        if hopeless and random.random() < early.share:
            leaf = random.choice(hopeless)
            closed.add(leaf)
        walked.update(tree.path(leaf))
        chosen.append(leaf)
    return chosen


def _can_close(tree: Tree, terminals: Terminals, node: int) -> bool:
    return not tree.nodes[node].terminal and node not in terminals.leading_to_correct


def _ordered(tree: Tree, wrong: list[int], right: int, order: Order) -> list[int]:
    """`near`: sharing much with the way to the right end."""
    if order == "drawn":
        return wrong
    goal = tree.path(right)

    def shared(leaf: int) -> int:
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(tree.path(leaf), goal, strict=False)))

    return sorted(wrong, key=shared, reverse=order == "near_first")


def _with_pauses(tree: Tree, walked: list[int], confirm: Confirm, random: Random) -> list[int]:
    """Highly valued steps, some of them repeated where they are first walked; what is left by a jump is not praised."""
    paused = walked[:1]
    for place, (previous, index) in enumerate(pairwise(walked), start=2):
        node = tree.nodes[index]
        first = node.parent == previous and index not in paused
        goes_on = place < len(walked) and tree.nodes[walked[place]].parent == index
        paused.append(index)
        if first and goes_on and node.value >= confirm.min_value and random.random() < confirm.share:
            paused.append(index)
    return paused
