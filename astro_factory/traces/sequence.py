"""Algorithm 1 of the paper: from a search tree to the order in which a trace visits its nodes.

A sequence starts at the root (node 0) and ends at a correct terminal. Each further element is
- a step, if it is a child of the element before;
- a pause, if it is the same node: the trace looks back and finds it correct;
- a jump otherwise: the trace finds the node before wrong and goes back to this one.

Invariants: the end is correct; no wrong answer is reached twice (unless `distinct` is off); every jump leaves an
incorrect terminal or, with `early`, a step below which the search found no correct terminal. In this tree,

    0 -> 1 -> 2 (wrong)      [0, 1, 2, 1, 3, 0, 4, 5] goes wrong twice: back to the step before,
         1 -> 3 (wrong)      then back to the root.
    0 -> 4 -> 5 (correct)
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from random import Random
from typing import Annotated, Literal

from pydantic import Field

from astro_factory.core.config import LATER, Config
from astro_factory.core.trees import Tree
from astro_factory.traces.branch_counts import Bounds, BranchCount, draw_count
from astro_factory.traces.terminals import Draw, Terminals

Merge = Literal["deepest", "any", "root"]
Order = Literal["drawn", "near_last", "near_first", "by_steps"]
_NUMBERS = re.compile(r"([0-9]+)")


class Confirm(Config):
    """Positive reflections in the middle: "seems to be correct so far" after steps with a high value."""

    min_value: float = Field(0.9, ge=0, le=1)
    """Lowest Q of a step that can be confirmed."""
    min_rollouts: Annotated[int, Field(ge=0), LATER] = 0
    """Fewest rollouts of a step that can be confirmed. The Q of a step with one rollout only says how that ended."""
    share: float = Field(0.3, ge=0, le=1)
    """Share of these steps that are confirmed."""


class Early(Config):
    """Backtracking before the end of a branch, at a step below which the search found no correct terminal."""

    share: float = Field(0.5, ge=0, le=1)
    """Share of wrong branches that are abandoned early, among those with such a step."""
    steps: Bounds = (1, 100)
    """Lowest and highest number of the branch's steps to take first; all possible numbers are equally likely."""


@dataclass(frozen=True, slots=True)
class SequenceOptions:
    """What decides a sequence, besides the tree and the seed."""

    wrong_branches: BranchCount = (0, 2)
    at_least: int = 0
    """Lowest number of wrong branches, whatever is drawn."""
    merge: Merge = "deepest"
    draw: Draw = "policy"
    confirm: Confirm | None = None
    early: Early | None = None
    order: Order = "drawn"
    distinct: bool = True
    """Whether wrong branches must have different answers."""


def sample_sequence(
    tree: Tree, options: SequenceOptions, seed: int, terminals: Terminals | None = None
) -> list[int] | None:
    """A node sequence, or None if the tree has no correct terminal or fewer wrong branches than `at_least`.

    One random order of the terminals decides everything: the first correct one is n*, the first incorrect ones with
    different answers are the wrong branches, and the number of these before n* is the natural number of failures.
    Pass `terminals` when drawing several sequences from one tree.
    """
    terminals = terminals or Terminals(tree, options.draw)
    random = Random(seed)
    order = terminals.shuffled(random)
    correct = next((index for index in order if index not in terminals.answers), None)
    select_wrong = terminals.distinct if options.distinct else terminals.all_wrong
    wrong = select_wrong(order)
    if correct is None or len(wrong) < options.at_least:
        return None
    natural = len(select_wrong(order[: order.index(correct)]))
    count = max(draw_count(options.wrong_branches, natural, random), options.at_least)
    chosen = wrong[:count]
    if options.early:
        chosen = _abandon_early(tree, terminals, wrong, count, options.early, random)
    chosen = _ordered(tree, chosen, correct, options.order)
    visited = merge_paths(tree, chosen, correct, options.merge, random)
    return _with_pauses(tree, visited, options.confirm, random) if options.confirm else visited


def merge_paths(
    tree: Tree, wrong: Sequence[int], correct: int, merge: Merge = "deepest", random: Random | None = None
) -> list[int]:
    """The merged root paths of the wrong nodes and then of the correct terminal.

    `deepest` (Algorithm 1): each path continues from its deepest node already visited. `root`: each restarts at the
    root. `any`: each continues from one of its visited nodes, drawn by `random`.
    """
    visited, seen = [0], {0}
    for leaf in [*wrong, correct]:
        path = [0, *tree.path(leaf)]
        known = 1 if merge == "root" else sum(node in seen for node in path)
        if merge == "any" and random and len(visited) > 1:
            known = random.randint(1, known)
        if len(visited) > 1:
            visited.append(path[known - 1])
        visited += path[known:]
        seen.update(path)
    return visited


def _abandon_early(
    tree: Tree, terminals: Terminals, wrong: Iterable[int], count: int, early: Early, random: Random
) -> list[int]:
    """Up to `count` nodes to backtrack from: incorrect terminals, some of them cut to an earlier step.

    No later branch goes through a step that was abandoned.
    """
    chosen: list[int] = []
    abandoned: set[int] = set()
    visited = {0}
    for leaf in wrong:
        path = tree.path(leaf)
        if len(chosen) == count:
            break
        if abandoned.intersection(path):
            continue
        new = [node for node in path if node not in visited]
        low, high = early.steps
        candidates = new[low - 1 if low else 0 : high]
        hopeless = [
            node for node in candidates if not tree.nodes[node].terminal and node not in terminals.leading_to_correct
        ]
        if hopeless and random.random() < early.share:
            leaf = random.choice(hopeless)
            abandoned.add(leaf)
        visited.update(tree.path(leaf))
        chosen.append(leaf)
    return chosen


def _ordered(tree: Tree, wrong: list[int], correct: int, order: Order) -> list[int]:
    """Wrong branches in order; a branch is near if it shares many steps with the path to the correct terminal."""
    if order == "drawn":
        return wrong
    if order == "by_steps":
        return sorted(wrong, key=lambda leaf: [_natural(tree.nodes[index].text) for index in tree.path(leaf)])
    goal = tree.path(correct)

    def shared_steps(leaf: int) -> int:
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(tree.path(leaf), goal, strict=False)))

    return sorted(wrong, key=shared_steps, reverse=order == "near_first")


def _natural(text: str) -> list[tuple[int, str]]:
    """A key by which numbers in a text compare as numbers."""
    return [(len(part.lstrip("0")), part) if part.isdecimal() else (0, part) for part in _NUMBERS.split(text)]


def _with_pauses(tree: Tree, visited: list[int], confirm: Confirm, random: Random) -> list[int]:
    """Repeats some high-value steps where they are first visited; a step that a jump leaves next is not confirmed."""
    paused = visited[:1]
    for place, (previous, index) in enumerate(pairwise(visited), start=2):
        node = tree.nodes[index]
        first = node.parent == previous and index not in paused
        continued = place < len(visited) and tree.nodes[visited[place]].parent == index
        paused.append(index)
        good = node.value >= confirm.min_value and node.rollouts >= confirm.min_rollouts
        if first and continued and good and random.random() < confirm.share:
            paused.append(index)
    return paused
