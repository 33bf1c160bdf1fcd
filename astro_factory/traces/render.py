"""Node sequence to text: the steps unchanged, and between them the texts of the template.

Steps are joined, and numbered, in the format in which the search wrote them. Every step has its own lines (or
paragraphs), and so has each move: the reflection, its verdict and the place to go back to share a line, separated by
spaces (countdown):

    10 + 3 = 13 left 4 13
    4 + 13 = 17 left 17
    But wait , are we correct so far ? 17 - 17 = 0 Yes .
    answer 4 + ( 10 + 3 )
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from astro_factory.core.step_format import LINES, StepLayout
from astro_factory.core.trees import Tree, TreeNode
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


def move_variables(
    tree: Tree,
    move: Move,
    attempt: int,
    numbers: Mapping[int, int],
    since_jump: Iterable[int] = (),
    layout: StepLayout = LINES,
) -> dict[str, Any]:
    """Variables of a move's blocks.

    Args:
        tree: the tree of the trace.
        move: what the trace does.
        attempt: the number of the branch.
        numbers: for each node, the number of its latest step in the trace.
        since_jump: the nodes of the steps since the latest jump, in order.
        layout: how the trace writes its steps.
    """
    branch: list[tuple[int, TreeNode]] = []
    for index in since_jump:
        branch = [] if index == move.target else [*branch, (numbers.get(index, 0), tree.nodes[index])]
    variables: dict[str, Any] = {
        "problem": tree.problem,
        "node": tree.nodes[move.judged],
        "step": numbers.get(move.judged, 0),
        "attempt": attempt,
        "branch": branch,
        "numbered": layout.has_markers,
    }
    if move.target is not None:
        variables |= {"target": tree.nodes[move.target], "target_step": numbers.get(move.target, 0)}
    return variables


def render(
    tree: Tree, sequence: Sequence[int], renderer: TemplateRenderer, seed: int, layout: StepLayout = LINES
) -> list[Segment]:
    """The segments of a trace; `trace_text` joins them. `seed` decides the choices of `pick`.

    Raises:
        UserError: the template fails over this tree.
    """
    choose, nodes, last = seeded_choice(seed), tree.nodes, len(sequence) - 1
    segments: list[Segment] = []
    numbers: dict[int, int] = {}
    since_jump: list[int] = []
    gap = len(layout.separator)
    steps, attempt, offset = 0, 1, 0
    for position, current in enumerate(sequence):
        if position and nodes[current].parent == sequence[position - 1]:
            steps += 1
            numbers[current] = steps
            since_jump.append(current)
            text = layout.write(nodes[current].text, steps)
            segments.append(_segment(("step", text, current, offset, offset + len(text))))
            offset += len(text) + gap
        if position == last:
            move = Move.finish(current)
        else:
            following = sequence[position + 1]
            if nodes[following].parent == current:
                continue
            move = Move.pause(current) if following == current else Move.jump(current, following)
        variables = move_variables(tree, move, attempt, numbers, since_jump, layout)
        texts = renderer.render_blocks(move.blocks, variables, choose)
        before = ""
        for kind, text in zip(move.kinds, texts, strict=True):
            if text:
                if kind in _CONTINUES_LINE and before in _STARTS_LINE:
                    offset += 1 - gap
                node = move.target if move.target is not None and kind in _OF_TARGET else current
                segments.append(_segment((kind, text, node, offset, offset + len(text))))
                offset += len(text) + gap
                before = kind
        if move.target is not None:
            attempt += 1
            since_jump = []
    return segments


def trace_text(segments: Sequence[Segment], layout: StepLayout = LINES) -> str:
    """The response."""
    return join_pieces(segments, layout.separator)


def join_pieces(pieces: Sequence[Sequence[Any]], separator: str = "\n") -> str:
    """Joins (kind, text, …) pieces: those of one move share a line, everything else gets lines of its own."""
    parts: list[str] = []
    before = ""
    for piece in pieces:
        kind = piece[0]
        parts.append(" " if kind in _CONTINUES_LINE and before in _STARTS_LINE else separator)
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
