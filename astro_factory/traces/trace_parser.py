"""Text back to a node sequence: the check that a trace says what it was made from."""

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

from astro_factory.core.trees import Tree
from astro_factory.traces.render import Move, closing, joined, jump, move_variables, pause
from astro_factory.traces.template_renderer import TemplateRenderer

Pieces = list[tuple[str, str]]


def parse(text: str, tree: Tree, renderer: TemplateRenderer) -> list[int] | None:
    """The node sequence that the template words as `text`, or None where there is none.

    `parse(trace_text(render(tree, x, renderer, seed)), tree, renderer) == x` for every sequence x and every seed, as
    long as the words tell x from all others: siblings of one text, or states that a template names alike and that go on
    alike, give the first sequence that fits.
    """
    return _Parser(text, tree, renderer).read()


class _Parser:
    """Depth-first over what may come next; a place in the text counts from the start of a line."""

    def __init__(self, text: str, tree: Tree, renderer: TemplateRenderer):
        self.text, self.tree, self.renderer = text, tree, renderer
        self.children: list[list[int]] = [[] for _ in tree.nodes]
        for index, node in enumerate(tree.nodes[1:], start=1):
            self.children[node.parent].append(index)

    def read(self) -> list[int] | None:
        """Iterative, since a trace can be longer than Python's stack."""
        pending = [self._next([0], 0, 1)]
        while pending:
            state = next(pending[-1], None)
            if state is None:
                pending.pop()
                continue
            sequence, place, attempt = state
            if self._ends(sequence, place, attempt):
                return sequence
            pending.append(self._next(sequence, place, attempt))
        return None

    def _next(self, sequence: list[int], place: int, attempt: int) -> Iterator[tuple[list[int], int, int]]:
        """Every sequence that is one element longer, with where the text goes on and the number of the attempt."""
        here, numbers = sequence[-1], _Numbers(self.tree, sequence)
        for child in self.children[here]:
            for end in self._after([("step", self.tree.nodes[child].text)], place):
                yield [*sequence, child], end, attempt
        if len(sequence) == 1 or self.tree.nodes[here].parent != sequence[-2]:
            return
        if not self.tree.nodes[here].terminal:
            for end in self._said(pause(here), place, attempt, numbers):
                if end > place:
                    yield [*sequence, here], end, attempt
        for target in dict.fromkeys(reversed(sequence)):
            if self.children[target] and target != here:
                for end in self._said(jump(here, target), place, attempt, numbers):
                    yield [*sequence, target], end, attempt + 1

    def _ends(self, sequence: list[int], place: int, attempt: int) -> bool:
        leaf = sequence[-1]
        if not self.tree.nodes[leaf].terminal:
            return False
        return len(self.text) + 1 in self._said(closing(leaf), place, attempt, _Numbers(self.tree, sequence))

    def _said(self, move: Move, place: int, attempt: int, numbers: "_Numbers") -> list[int]:
        """Where the text can go on after the words of a move."""
        variables = move_variables(self.tree, move, attempt, numbers.by_node)
        said: list[Pieces] = [[]]
        for kind, block in zip(move.kinds, move.blocks, strict=True):
            words = dict.fromkeys(self.renderer.alternatives(block, variables))
            longer = [[*before, (kind, text)] if text else before for before in said for text in words]
            said = [pieces for pieces in longer if self.text.startswith(joined(pieces), place)]
        return list(dict.fromkeys(end for pieces in said for end in self._after(pieces, place)))

    def _after(self, pieces: Pieces, place: int) -> list[int]:
        """The start of the next line where the text goes on with these; the same place where there are none."""
        if not pieces:
            return [place]
        text = joined(pieces)
        end = place + len(text)
        fits = self.text.startswith(text, place) and (end == len(self.text) or self.text[end] == "\n")
        return [end + 1] if fits else []


class _Numbers:
    """The number of the step that said each node of a sequence last, counted when it is first asked for."""

    def __init__(self, tree: Tree, sequence: list[int]):
        self._tree, self._sequence = tree, sequence

    @cached_property
    def by_node(self) -> dict[int, int]:
        steps = (b for a, b in pairwise(self._sequence) if self._tree.nodes[b].parent == a)
        return {node: number for number, node in enumerate(steps, start=1)}
