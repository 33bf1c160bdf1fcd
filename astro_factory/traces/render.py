"""Node sequence to text: the steps unchanged, and between them the texts of the template.

A trace consists of lines. Every step has its own lines, and so has each move: the reflection, its verdict and the
place to go back to share a line, separated by spaces (countdown):

    10 + 3 = 13 left 4 13
    4 + 13 = 17 left 17
    But wait , are we correct so far ? 17 - 17 = 0 Yes .
    answer 4 + ( 10 + 3 )
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from astro_factory.core.trees import Tree
from astro_factory.traces.template_renderer import TemplateRenderer, seeded_choice


class Segment(NamedTuple):
    """A piece of a response, from `start` to `end` (characters)."""

    kind: str
    """`step`, `reflect`, `verdict`, `backtrack`, `restart` (back to the root) or `answer`."""
    text: str
    node: int
    """The step's node, the node that is judged, or the node that the trace goes back to."""
    start: int
    end: int


class Move(NamedTuple):
    """What a trace does at one place of its node sequence, apart from steps."""

    kinds: tuple[str, ...]
    """Segment kind of each block."""
    blocks: tuple[str, ...]
    judged: int
    target: int | None = None

    @classmethod
    def pause(cls, node: int) -> "Move":
        """The trace checks where it is and finds it correct."""
        return cls(*_PAUSE, node)

    @classmethod
    def jump(cls, leaf: int, target: int) -> "Move":
        """The trace finds a leaf wrong and goes back."""
        return cls(*(_BACKTRACK if target else _RESTART), leaf, target)

    @classmethod
    def finish(cls, leaf: int) -> "Move":
        """The trace finds a leaf correct and states the answer, on a line of its own."""
        return cls(*_FINISH, leaf)


def move_variables(tree: Tree, move: Move, attempt: int, numbers: Mapping[int, int]) -> dict[str, Any]:
    """Variables of a move's blocks. `numbers`: for each node, the number of its latest step in the trace."""
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
    """The segments of a trace; `trace_text` joins them. `seed` decides the choices of `pick`.

    Raises:
        UserError: the template fails over this tree.
    """
    choose, nodes, last = seeded_choice(seed), tree.nodes, len(sequence) - 1
    segments: list[Segment] = []
    numbers: dict[int, int] = {}
    steps, attempt, offset = 0, 1, 0
    for position, current in enumerate(sequence):
        if position and nodes[current].parent == sequence[position - 1]:
            steps += 1
            numbers[current] = steps
            text = nodes[current].text
            segments.append(_segment(("step", text, current, offset, offset + len(text))))
            offset += len(text) + 1
        if position == last:
            move = Move.finish(current)
        else:
            following = sequence[position + 1]
            if nodes[following].parent == current:
                continue
            move = Move.pause(current) if following == current else Move.jump(current, following)
        texts = renderer.render_blocks(move.blocks, move_variables(tree, move, attempt, numbers), choose)
        for kind, text in zip(move.kinds, texts, strict=True):
            if text:
                node = move.target if move.target is not None and kind in _OF_TARGET else current
                segments.append(_segment((kind, text, node, offset, offset + len(text))))
                offset += len(text) + 1
        attempt += move.target is not None
    return segments


def trace_text(segments: Sequence[Segment]) -> str:
    """The response."""
    return join_pieces(segments)


def join_pieces(pieces: Sequence[Sequence[Any]]) -> str:
    """Joins (kind, text, …) pieces: those of one move share a line, everything else gets lines of its own."""
    parts: list[str] = []
    before = ""
    for piece in pieces:
        kind = piece[0]
        parts.append(" " if kind in _CONTINUES_LINE and before in _STARTS_LINE else "\n")
        parts.append(piece[1])
        before = kind
    return "".join(parts[1:])


_PAUSE = ("reflect", "verdict"), ("reflect", "right")
_BACKTRACK = ("reflect", "verdict", "backtrack"), ("reflect", "wrong", "backtrack")
_RESTART = ("reflect", "verdict", "restart"), ("reflect", "wrong", "restart")
_FINISH = ("reflect", "verdict", "answer"), ("reflect", "right", "answer")
"""Segment kinds of a move and the blocks that give their text."""
_segment = Segment._make
_OF_TARGET = frozenset({"backtrack", "restart"})
_STARTS_LINE = frozenset({"reflect", "verdict"})
_CONTINUES_LINE = frozenset({"verdict", "backtrack", "restart"})
