"""Node sequence to text: steps as they are, everything between them by the template.

A trace is lines. Every step stands on lines of its own, and so does what is said at one place: the reflection, its
verdict and where to go back to share a line, a space between them (countdown):

    10 + 3 = 13 left 4 13
    4 + 13 = 17 left 17
    But wait , are we correct so far ? 17 - 17 = 0 Yes .
    answer 4 + ( 10 + 3 )
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from astro_factory.core.trees import Tree
from astro_factory.traces.wording import Wording, seeded


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
    return Move(("reflect", "verdict"), ("reflect", "right"), node)


def jump(leaf: int, target: int) -> Move:
    """The trace finds a leaf wrong and goes back."""
    back = "backtrack" if target else "restart"
    return Move(("reflect", "verdict", back), ("reflect", "wrong", back), leaf, target)


def closing(leaf: int) -> Move:
    """The trace finds a leaf right and states the answer, on a line of its own."""
    return Move(("reflect", "verdict", "answer"), ("reflect", "right", "answer"), leaf)


def variables_of(tree: Tree, move: Move, attempt: int, numbers: Mapping[int, int]) -> dict[str, Any]:
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


def render(tree: Tree, sequence: Sequence[int], wording: Wording, seed: int) -> list[Segment]:
    """The segments of a trace; its text is `text_of` them. `seed` decides what `pick` picks.

    Raises UserError where the template fails over this tree.
    """
    choose, attempt, segments = seeded(seed), 1, []
    numbers: dict[int, int] = {}
    steps = 0

    def add(kind: str, text: str, node: int) -> None:
        start = segments[-1].end + 1 if segments else 0
        segments.append(Segment(kind, text, node, start, start + len(text)))

    for item in _moves(tree, sequence):
        if isinstance(item, int):
            steps += 1
            numbers[item] = steps
            add("step", tree.nodes[item].text, item)
            continue
        texts = wording.say(item.blocks, variables_of(tree, item, attempt, numbers), choose)
        for kind, text in zip(item.kinds, texts, strict=True):
            if text:
                add(kind, text, item.target if kind in ("backtrack", "restart") else item.judged)
        attempt += item.target is not None
    return segments


def text_of(segments: Sequence[Segment]) -> str:
    """The response."""
    return joined([(segment.kind, segment.text) for segment in segments])


def joined(pieces: Sequence[tuple[str, str]]) -> str:
    """Kinds and texts as lines: words said at one place share a line, all else stands on lines of its own."""
    parts: list[str] = []
    before = ""
    for kind, text in pieces:
        if before:
            parts.append(" " if before in _SAID_FIRST and kind in _SAID_AFTER else "\n")
        parts.append(text)
        before = kind
    return "".join(parts)


def _moves(tree: Tree, sequence: Sequence[int]) -> Iterator[int | Move]:
    """The steps of a sequence (their nodes) and the moves between them."""
    here = sequence[0]
    for node in sequence[1:]:
        if node == here:
            yield pause(node)
        elif tree.nodes[node].parent == here:
            yield node
        else:
            yield jump(here, node)
        here = node
    yield closing(here)


_SAID_FIRST = frozenset({"reflect", "verdict"})
_SAID_AFTER = frozenset({"verdict", "backtrack", "restart"})
