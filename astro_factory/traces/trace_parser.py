"""Text back to a node sequence: checks that a trace says exactly what it was made from."""

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

from astro_factory.core.step_format import LINES, StepLayout
from astro_factory.core.trees import Tree
from astro_factory.traces.render import Move, join_pieces, move_variables
from astro_factory.traces.template_renderer import TemplateRenderer

Pieces = list[tuple[str, str]]
"""Segment kinds with their texts."""


def parse(text: str, tree: Tree, renderer: TemplateRenderer, layout: StepLayout = LINES) -> list[int] | None:
    """The node sequence that the template renders as `text`, or None if there is none.

    `parse(trace_text(render(tree, x, renderer, seed)), tree, renderer) == x` for every sequence x and every seed, if
    the text distinguishes x from all others; likewise with a layout for all three. For siblings with equal texts, or
    states that a template names alike and that continue alike, the first matching sequence is returned.
    """
    return _Parser(text, tree, renderer, layout).parse()


class _Parser:
    """Depth-first search over what may come next. Offsets in the text are starts of lines."""

    def __init__(self, text: str, tree: Tree, renderer: TemplateRenderer, layout: StepLayout):
        self.text, self.tree, self.renderer, self.layout = text, tree, renderer, layout
        self.children: list[list[int]] = [[] for _ in tree.nodes]
        for index, node in enumerate(tree.nodes[1:], start=1):
            self.children[node.parent].append(index)

    def parse(self) -> list[int] | None:
        """Iterative, because a trace can be longer than Python's stack."""
        pending = [self._extensions([0], 0, 1)]
        while pending:
            state = next(pending[-1], None)
            if state is None:
                pending.pop()
                continue
            sequence, offset, attempt = state
            if self._is_complete(sequence, offset, attempt):
                return sequence
            pending.append(self._extensions(sequence, offset, attempt))
        return None

    def _extensions(self, sequence: list[int], offset: int, attempt: int) -> Iterator[tuple[list[int], int, int]]:
        """Every sequence with one more element, the offset where the text continues, and the number of the attempt."""
        current, numbers = sequence[-1], _StepNumbers(self.tree, sequence)
        for child in self.children[current]:
            text = self.layout.write(self.tree.nodes[child].text, numbers.next if self.layout.has_markers else 0)
            for end in self._after([("step", text)], offset):
                yield [*sequence, child], end, attempt
        if len(sequence) == 1 or self.tree.nodes[current].parent != sequence[-2]:
            return
        if not self.tree.nodes[current].terminal:
            for end in self._after_move(Move.pause(current), offset, attempt, numbers):
                if end > offset:
                    yield [*sequence, current], end, attempt
        for target in dict.fromkeys(reversed(sequence)):
            if self.children[target] and target != current:
                for end in self._after_move(Move.jump(current, target), offset, attempt, numbers):
                    yield [*sequence, target], end, attempt + 1

    def _is_complete(self, sequence: list[int], offset: int, attempt: int) -> bool:
        leaf = sequence[-1]
        if not self.tree.nodes[leaf].terminal:
            return False
        numbers = _StepNumbers(self.tree, sequence)
        return len(self.text) + len(self.layout.separator) in self._after_move(
            Move.finish(leaf), offset, attempt, numbers
        )

    def _after_move(self, move: Move, offset: int, attempt: int, numbers: "_StepNumbers") -> list[int]:
        """Where the text can continue after the words of a move."""
        variables = move_variables(self.tree, move, attempt, numbers.by_node, numbers.since_jump, self.layout)
        candidates: list[Pieces] = [[]]
        for kind, block in zip(move.kinds, move.blocks, strict=True):
            texts = dict.fromkeys(self.renderer.alternatives(block, variables))
            longer = [[*before, (kind, text)] if text else before for before in candidates for text in texts]
            candidates = [pieces for pieces in longer if self.text.startswith(self._join(pieces), offset)]
        return list(dict.fromkeys(end for pieces in candidates for end in self._after(pieces, offset)))

    def _after(self, pieces: Pieces, offset: int) -> list[int]:
        """The start of the next line if the text continues with these pieces; the same offset if there are none."""
        if not pieces:
            return [offset]
        text, separator = self._join(pieces), self.layout.separator
        end = offset + len(text)
        fits = self.text.startswith(text, offset) and (end == len(self.text) or self.text.startswith(separator, end))
        return [end + len(separator)] if fits else []

    def _join(self, pieces: Pieces) -> str:
        return join_pieces(pieces, self.layout.separator)


class _StepNumbers:
    """Numbers of the steps of a sequence; counted on first use."""

    def __init__(self, tree: Tree, sequence: list[int]):
        self._tree, self._sequence = tree, sequence

    @cached_property
    def by_node(self) -> dict[int, int]:
        """For each node, the number of its latest step."""
        return {node: number for number, node in enumerate(self._steps, start=1)}

    @property
    def next(self) -> int:
        return len(self._steps) + 1

    @cached_property
    def since_jump(self) -> list[int]:
        """The nodes of the steps since the latest jump."""
        steps: list[int] = []
        for before, node in pairwise(self._sequence):
            if self._tree.nodes[node].parent == before:
                steps.append(node)
            elif node != before:
                steps = []
        return steps

    @cached_property
    def _steps(self) -> list[int]:
        return [node for before, node in pairwise(self._sequence) if self._tree.nodes[node].parent == before]
