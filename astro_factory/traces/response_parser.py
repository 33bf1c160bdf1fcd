"""Best-effort reading of text that no template made: a model's own response, or a trace that a model reworded.

    graph = Reader(template).read(response, question)
    graph.backtracks, graph.dead_ends, graph.revisited, graph.unresolved

`parse` undoes `render` and refuses all else; this takes what comes and says what it could not place.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import dropwhile, pairwise

from astro_factory.core.config import TemplateSource
from astro_factory.core.problems import Problem
from astro_factory.core.trees import Tree
from astro_factory.traces.backtrack_markers import backtrack_counter, block_markers, marked

_TOKENS = re.compile(r"\w+|[^\w\s]")


@dataclass
class ReasoningGraph:
    """The graph of a chain of thought: states, how they follow from one another, and in what order they are visited."""

    texts: list[str] = field(default_factory=lambda: [""])
    """The step that led to each state; the first is the problem's."""
    parents: list[int] = field(default_factory=lambda: [-1])
    sequence: list[int] = field(default_factory=lambda: [0])
    """States in the order of the text, as `traces.sequence` has them: a step, a pause (the same again) or a jump."""
    unresolved: int = 0
    """Jumps to a state that the text names and that was not found; they are read as staying where it is."""
    children: dict[tuple[int, str], int] = field(default_factory=dict)
    """State and step to where the step leads."""
    lines: list[tuple[str, int]] = field(default_factory=list)
    """For each line that is not blank: `step`, `jump`, `unresolved` or `words`, and the state after it."""

    def jumps(self) -> list[tuple[int, int]]:
        """State left and state gone back to."""
        return [(a, b) for a, b in pairwise(self.sequence) if a != b and self.parents[b] != a]

    @property
    def backtracks(self) -> int:
        return len(self.jumps()) + self.unresolved

    @property
    def dead_ends(self) -> int:
        """States that were left by a jump and from which nothing was tried."""
        return len({left for left, _ in self.jumps() if left not in self.parents})

    @property
    def revisited(self) -> int:
        """Steps that lead to a state which an earlier step led to."""
        steps = [b for a, b in pairwise(self.sequence) if self.parents[b] == a]
        return len(steps) - len(set(steps))


class ResponseParser:
    """Reads responses that speak as a template does."""

    def __init__(self, template: TemplateSource, is_step: Callable[[str], bool] | None = None):
        """`is_step` tells a line that is a step from others; without it, every line without the template's words is."""
        self._back = marked(block_markers(template, ("backtrack", "restart")))
        self._words = marked(block_markers(template, ("reflect", "wrong", "right", "backtrack", "restart")))
        self._is_step = is_step or (lambda line: True)

    def read(self, response: str, question: str = "") -> ReasoningGraph:
        """The graph of a response. A jump to what the question says goes to the start."""
        graph = ReasoningGraph(texts=[question])
        here = 0
        for line in filter(str.strip, response.split("\n")):
            found = self._back(line)
            if found is not None:
                target = _named(graph, line[found:])
                graph.unresolved += target is None
                here = here if target is None else target
                if target is not None:
                    graph.sequence.append(here)
                graph.lines.append(("unresolved" if target is None else "jump", here))
            elif self._words(line) is not None or not self._is_step(line):
                if graph.sequence[-2:] != [here, here] and here:
                    graph.sequence.append(here)
                graph.lines.append(("words", here))
            else:
                here = _step(graph, here, line.strip())
                graph.lines.append(("step", here))
        return graph


def response_measures(template: TemplateSource) -> Callable[[Problem, str], dict[str, int]]:
    """A function from a problem and a response to what evaluation and training curves say of its chain of thought.

    `backtracks` counts the template's words for going back, as everywhere; the others are of the graph.
    """
    reader, count = ResponseParser(template), backtrack_counter(template)

    def measures(problem: Problem, response: str) -> dict[str, int]:
        graph = reader.read(response, problem.question)
        return {
            "backtracks": count(response),
            "dead_ends": graph.dead_ends,
            "revisited": graph.revisited,
            "unresolved": graph.unresolved,
        }

    return measures


def match_sequence(text: str, tree: Tree) -> list[int] | None:
    """The node sequence of a text whose steps are the tree's own and whose other words may be any.

    A step is a child of the state before, or else of the state visited last that has such a child: then the words
    before it are a jump. Words between a state and its child are a pause. None where the text does not end, from a
    terminal node, with that node's closing line.
    """
    children: dict[tuple[int, str], int] = {}
    for index, node in enumerate(tree.nodes[1:], start=1):
        children.setdefault((node.parent, node.text), index)
    sequence, here, said = [0], 0, False
    lines = text.split("\n")
    place = 0
    longest = max((node.text.count("\n") for node in tree.nodes), default=0) + 1
    while place < len(lines):
        found = _next_step(children, sequence, lines, place, longest)
        if found is None:
            said, place = True, place + 1
            continue
        child, height = found
        parent = tree.nodes[child].parent
        if parent != here or (said and here):
            sequence.append(parent)
        sequence.append(child)
        here, said, place = child, False, place + height
    end = tree.nodes[here]
    ends = end.terminal and (lines[-1] == end.closing if end.closing else True)
    return sequence if ends else None


def _next_step(
    children: dict[tuple[int, str], int], sequence: Sequence[int], lines: list[str], place: int, longest: int
) -> tuple[int, int] | None:
    """The node that the next lines lead to, and how many lines that takes."""
    for height in range(min(longest, len(lines) - place), 0, -1):
        step = "\n".join(lines[place : place + height])
        for state in dict.fromkeys(reversed(sequence)):
            if (child := children.get((state, step))) is not None:
                return child, height
    return None


def _step(graph: ReasoningGraph, here: int, line: str) -> int:
    """The state that a step leads to: a new one, unless the same step was made here before."""
    state = graph.children.setdefault((here, line), len(graph.texts))
    if state == len(graph.texts):
        graph.texts.append(line)
        graph.parents.append(here)
    graph.sequence.append(state)
    return state


def _named(graph: ReasoningGraph, words: str) -> int | None:
    """The state that the words after "back to" name: by how its step ends, or by any part of it; latest first."""
    quoted = re.search(r'"(.+?)"', words)
    name = _TOKENS.findall(quoted[1] if quoted else words.rpartition(":")[2])
    name = list(dropwhile(_is_mark, name))
    name = list(dropwhile(_is_mark, name[::-1]))[::-1]
    if not name:
        return 0
    visited = [state for state in dict.fromkeys(reversed(graph.sequence)) if state] + [0]
    tokens = {state: _tokens(graph.texts[state]) for state in visited}
    for state in visited:
        if tokens[state][-len(name) :] == name:
            return state
    for state in visited:
        if any(tokens[state][start : start + len(name)] == name for start in range(len(tokens[state]))):
            return state
    return None


@lru_cache(maxsize=1 << 14)  # a text that goes back often names the same states again and again
def _tokens(text: str) -> list[str]:
    return _TOKENS.findall(text)


def _is_mark(token: str) -> bool:
    return not token.isalnum()
