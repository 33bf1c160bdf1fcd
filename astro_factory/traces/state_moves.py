"""How a response moves between states, where the domain reads states from its steps (`Verifier.stated_steps`).

A response goes back where a step starts from another state than the one that the step before it reached, whatever words
stand between the two. A model whose wording drifts in reinforcement learning still goes back; a count of phrases would
miss that.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

from astro_factory.verifiers.base import StatedStep


@dataclass(frozen=True, eq=False)
class Node:
    """A visited state, reached by a path of its own: a state that two paths reach is two nodes."""

    state: Hashable
    path: int
    """The number of its path; visits by the same path have the same."""
    parent: "Node | None" = None
    taken: int = 0
    """A sum over the actions from the start to here: equal for the same actions in any order."""
    step: int = -1
    """Which step of the response this visit is."""


@dataclass
class StateMoves:
    """The moves of one response."""

    last: Node
    """Where the response ends."""
    backtracks: int = 0
    """Jumps to another state than the current one."""
    unresolved: int = 0
    """Jumps to a state that the response has not visited."""
    revisited: int = 0
    """Steps to a node that an earlier step reached."""
    repeated: int = 0
    """Completed attempts that take the steps of an earlier one, in any order."""
    left: set[int] = field(default_factory=set)
    """Paths from whose ends the response jumped."""
    continued: set[int] = field(default_factory=set)
    """Paths from whose ends a step was taken."""

    @property
    def dead_ends(self) -> int:
        """Nodes that a jump leaves and that no step continues."""
        return len(self.left - self.continued)


def state_moves(start: Hashable, steps: Iterable[StatedStep]) -> StateMoves:
    """Follow the steps of a response from the first state.

    A step from an unknown state is a jump to nowhere if an attempt is complete, and otherwise a slip: a step that
    continues the attempt with a copying error.
    """
    paths: dict[tuple[object, ...], int] = {(start,): 0}  # a first state, or a path and the step that continues it
    current, has_ended = Node(start, 0), False
    moves = StateMoves(current)
    visited, attempts = {0}, set[int]()
    latest = {start: current}
    for number, step in enumerate(steps):
        if step.before != current.state:
            target = latest.get(step.before)
            if target is not None or has_ended:
                moves.backtracks += 1
                moves.unresolved += target is None
                moves.left.add(current.path)
                current = target or Node(step.before, paths.setdefault((step.before,), len(paths)))
        moves.continued.add(current.path)
        path = paths.setdefault((current.path, step.after, step.action, step.ends), len(paths))
        current = Node(step.after, path, current, current.taken + _mark(step.action), number)
        has_ended = step.ends
        moves.revisited += path in visited
        visited.add(path)
        latest[step.after] = current
        if step.ends:
            moves.repeated += current.taken in attempts
            attempts.add(current.taken)
    moves.last = current
    return moves


@lru_cache(maxsize=1 << 12)
def _mark(action: str) -> int:
    """A number whose sums differ for different sets of actions, but for a chance of about 1 in 2^100."""
    return int.from_bytes(blake2b(action.encode("utf-8", "surrogatepass"), digest_size=16).digest())
