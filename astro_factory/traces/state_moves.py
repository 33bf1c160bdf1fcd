"""How a response moves between states, where the domain reads states from its steps (`Verifier.stated_steps`).

A response goes back where a step starts from another state than the one that the step before it reached, whatever words
stand between the two. A model whose wording drifts in reinforcement learning still goes back; a count of phrases would
miss that.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from astro_factory.verifiers.base import StatedStep


@dataclass(frozen=True)
class Node:
    """A visited state, reached by a path of its own: a state that two paths reach is two nodes."""

    state: Hashable
    parent: "Node | None" = None
    action: str = ""
    ends: bool = False
    step: int = field(default=-1, compare=False)
    """Which step of the response reached it last."""

    def actions(self) -> Iterator[str]:
        """The actions from the start to here, latest first."""
        node = self
        while node.parent is not None:
            yield node.action
            node = node.parent


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
    left: set[Node] = field(default_factory=set)
    """Nodes from which the response jumped."""
    continued: set[Node | None] = field(default_factory=set)
    """Nodes from which a step was taken."""

    @property
    def dead_ends(self) -> int:
        """Nodes that a jump leaves and that no step continues."""
        return len(self.left - self.continued)


def state_moves(start: Hashable, steps: Iterable[StatedStep]) -> StateMoves:
    """Follow the steps of a response from the first state.

    A step from an unknown state is a jump to nowhere if an attempt is complete, and otherwise a slip: a step that
    continues the attempt with a copying error.
    """
    current = Node(start)
    moves = StateMoves(current)
    visited, attempts = {current: None}, set()
    for number, step in enumerate(steps):
        if step.before != current.state:
            target = next((node for node in reversed(visited) if node.state == step.before), None)
            if target is not None or current.ends:
                moves.backtracks += 1
                moves.unresolved += target is None
                moves.left.add(current)
                current = target or Node(step.before)
        moves.continued.add(current)
        current = Node(step.after, current, step.action, step.ends, number)
        moves.revisited += current in visited
        visited.pop(current, None)  # visited again: it is the latest now
        visited[current] = None
        if step.ends:
            attempt = frozenset(Counter(current.actions()).items())
            moves.repeated += attempt in attempts
            attempts.add(attempt)
    moves.last = current
    return moves
