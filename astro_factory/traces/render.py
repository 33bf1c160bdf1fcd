"""Node sequence to text: steps as they are, everything between them by the template.

A trace is lines. Every step stands on lines of its own, and so does what is said at one place: the reflection, its
verdict and where to go back to share a line, a space between them (countdown):

    10 + 3 = 13 left 4 13
    4 + 13 = 17 left 17
    But wait , are we correct so far ? 17 - 17 = 0 Yes .
    answer 4 + ( 10 + 3 )
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from astro_factory.core.trees import Tree
from astro_factory.traces.template_renderer import TemplateRenderer, seeded


class Segment(NamedTuple):
    """A piece of a response, from `start` to `end` (characters)."""

    kind: str
    """`step`, `reflect`, `verdict`, `backtrack`, `restart` (back to the root) or `answer`."""
    text: str
    node: int
    """The step's node; the node that is judged; the node gone back to."""
    start: int
    end: int


class Move(NamedTuple):
    """What happens at one place of a node sequence besides steps."""

    kinds: tuple[str, ...]
    """Kind of segment of each block that is said here."""
    blocks: tuple[str, ...]
    judged: int
    target: int | None = None


def pause(node: int) -> Move:
    """The trace looks at where it is and finds it good."""
    return Move(*_PAUSE, node)


def jump(leaf: int, target: int) -> Move:
    """The trace finds a leaf wrong and goes back."""
    return Move(*(_BACKTRACK if target else _RESTART), leaf, target)


def closing(leaf: int) -> Move:
    """The trace finds a leaf right and states the answer, on a line of its own."""
    return Move(*_CLOSING, leaf)


def move_variables(tree: Tree, move: Move, attempt: int, numbers: Mapping[int, int]) -> dict[str, Any]:
    """What the blocks of a move know; `numbers`: of each node, the number of the step that said it last."""
    variables: dict[str, Any] = {
        "problem": tree.problem,
        "node": tree.nodes[move.judged],
        "step": numbers.get(move.judged, 0),
        "attempt": attempt,
    }
    if move.target is not None:
        variables |= {"target": tree.nodes[move.target], "target_step": numbers.get(move.target, 0)}
    return variables


def render(tree: Tree, sequence: Sequence[int], renderer: TemplateRenderer, seed: int) -> list[Segment]:
    """The segments of a trace; its text is `trace_text` them. `seed` decides what `pick` picks.

    Raises UserError where the template fails over this tree.
    """
    choose, nodes, last = seeded(seed), tree.nodes, len(sequence) - 1
    segments: list[Segment] = []
    numbers: dict[int, int] = {}
    steps, attempt, place = 0, 1, 0
    for position, here in enumerate(sequence):
        if position and nodes[here].parent == sequence[position - 1]:
            steps += 1
            numbers[here] = steps
            text = nodes[here].text
            segments.append(_segment(("step", text, here, place, place + len(text))))
            place += len(text) + 1
        following = None if position == last else sequence[position + 1]
        if following is not None and nodes[following].parent == here:
            continue
        move = closing(here) if following is None else pause(here) if following == here else jump(here, following)
        for kind, text in zip(
            move.kinds, renderer.say(move.blocks, move_variables(tree, move, attempt, numbers), choose), strict=True
        ):
            if text:
                node = following if kind in _TO_TARGET else here
                segments.append(_segment((kind, text, node, place, place + len(text))))
                place += len(text) + 1
        attempt += move.target is not None
    return segments


def trace_text(segments: Sequence[Segment]) -> str:
    """The response."""
    return joined(segments)


def joined(pieces: Sequence[Sequence[Any]]) -> str:
    """Kinds and texts as lines: words said at one place share a line, all else stands on lines of its own."""
    parts: list[str] = []
    before = ""
    for piece in pieces:
        kind = piece[0]
        parts.append(" " if kind in _SAID_AFTER and before in _SAID_FIRST else "\n")
        parts.append(piece[1])
        before = kind
    return "".join(parts[1:])


_PAUSE = ("reflect", "verdict"), ("reflect", "right")
_BACKTRACK = ("reflect", "verdict", "backtrack"), ("reflect", "wrong", "backtrack")
_RESTART = ("reflect", "verdict", "restart"), ("reflect", "wrong", "restart")
_CLOSING = ("reflect", "verdict", "answer"), ("reflect", "right", "answer")
"""Kinds of segment and the blocks that say them."""
_segment = Segment._make
_TO_TARGET = frozenset({"backtrack", "restart"})
_SAID_FIRST = frozenset({"reflect", "verdict"})
_SAID_AFTER = frozenset({"verdict", "backtrack", "restart"})
