"""Parses text that no template rendered, as far as possible: a model's own response, or a trace that it reworded.

    graph = ResponseParser(template).parse(response, question)
    graph.backtracks, graph.dead_ends, graph.revisited, graph.unresolved

`trace_parser.parse` inverts `render` exactly and rejects any other text; this accepts any text and counts what it could
not resolve.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import dropwhile, pairwise

from astro_factory.core.config import TemplateSource
from astro_factory.core.problems import Problem
from astro_factory.core.trees import Tree
from astro_factory.traces.backtrack_markers import backtrack_counter, block_markers, marker_finder

_TOKENS = re.compile(r"\w+|[^\w\s]")


@dataclass
class ReasoningGraph:
    """The graph of a chain of thought: states, the steps between them, and the order in which they are visited."""

    texts: list[str] = field(default_factory=lambda: [""])
    """The step that led to each state; for the first state, the question."""
    parents: list[int] = field(default_factory=lambda: [-1])
    sequence: list[int] = field(default_factory=lambda: [0])
    """States in the order of the text, as in `traces.sequence`: each is a step, a pause (the same again) or a jump."""
    unresolved: int = 0
    """Jumps to a state that the text names but that does not exist; the current state stays the same."""
    children: dict[tuple[int, str], int] = field(default_factory=dict)
    """The state that a step leads to, by the state before and the step."""
    lines: list[tuple[str, int]] = field(default_factory=list)
    """For each line that is not blank: `step`, `jump`, `unresolved` or `words`, and the state after it."""

    def jumps(self) -> list[tuple[int, int]]:
        """For each jump, the state that it leaves and the state that it goes back to."""
        return [(a, b) for a, b in pairwise(self.sequence) if a != b and self.parents[b] != a]

    @property
    def backtracks(self) -> int:
        return len(self.jumps()) + self.unresolved

    @property
    def dead_ends(self) -> int:
        """States that a jump leaves and that no step continues."""
        return len({left for left, _ in self.jumps() if left not in self.parents})

    @property
    def revisited(self) -> int:
        """Steps that lead to the same state as an earlier step."""
        steps = [b for a, b in pairwise(self.sequence) if self.parents[b] == a]
        return len(steps) - len(set(steps))

    def add_step(self, state: int, line: str) -> int:
        """Follow a step from a state: to a new state, unless the same step was taken there before."""
        target = self.children.setdefault((state, line), len(self.texts))
        if target == len(self.texts):
            self.texts.append(line)
            self.parents.append(state)
        self.sequence.append(target)
        return target


class ResponseParser:
    """Parses responses written in the words of a template."""

    def __init__(self, template: TemplateSource, is_step: Callable[[str], bool] | None = None):
        """`is_step` tells steps from other lines; by default, every line without words of the template is a step."""
        self._find_jump = marker_finder(block_markers(template, ("backtrack", "restart")))
        self._find_words = marker_finder(block_markers(template, ("reflect", "wrong", "right", "backtrack", "restart")))
        self._is_step = is_step or (lambda line: True)

    def parse(self, response: str, question: str = "") -> ReasoningGraph:
        """The graph of a response. A jump to something that the question says goes to the first state."""
        graph = ReasoningGraph(texts=[question])
        state = 0
        for line in filter(str.strip, response.split("\n")):
            end = self._find_jump(line)
            if end is not None:
                target = _jump_target(graph, line[end:])
                if target is None:
                    graph.unresolved += 1
                else:
                    state = target
                    graph.sequence.append(state)
                graph.lines.append(("unresolved" if target is None else "jump", state))
            elif self._find_words(line) is not None or not self._is_step(line):
                if graph.sequence[-2:] != [state, state] and state:
                    graph.sequence.append(state)
                graph.lines.append(("words", state))
            else:
                state = graph.add_step(state, line.strip())
                graph.lines.append(("step", state))
        return graph


def response_measures(template: TemplateSource) -> Callable[[Problem, str], dict[str, int]]:
    """A function of a problem and a response that returns the measures shown in evaluations and training curves.

    `backtracks` counts the template's words for going back, as everywhere else; the others come from the graph.
    """
    parser, count_backtracks = ResponseParser(template), backtrack_counter(template)

    def measures(problem: Problem, response: str) -> dict[str, int]:
        graph = parser.parse(response, problem.question)
        return {
            "backtracks": count_backtracks(response),
            "dead_ends": graph.dead_ends,
            "revisited": graph.revisited,
            "unresolved": graph.unresolved,
        }

    return measures


def match_sequence(text: str, tree: Tree) -> list[int] | None:
    """The node sequence of a text that contains the tree's steps verbatim, with any other words between them.

    A step belongs to a child of the current state, or else of the latest visited state that has such a child: then the
    words before it are a jump. Words between a state and its child are a pause.

    Returns:
        None if the text does not end at a terminal with that node's closing line.
    """
    children: dict[tuple[int, str], int] = {}
    for index, node in enumerate(tree.nodes[1:], start=1):
        children.setdefault((node.parent, node.text), index)
    sequence, current, words_before = [0], 0, False
    lines = text.split("\n")
    place = 0
    max_height = max((node.text.count("\n") for node in tree.nodes), default=0) + 1
    while place < len(lines):
        found = _next_step(children, sequence, lines, place, max_height)
        if found is None:
            words_before, place = True, place + 1
            continue
        child, height = found
        parent = tree.nodes[child].parent
        if parent != current or (words_before and current):
            sequence.append(parent)
        sequence.append(child)
        current, words_before, place = child, False, place + height
    leaf = tree.nodes[current]
    complete = leaf.terminal and (lines[-1] == leaf.closing if leaf.closing else True)
    return sequence if complete else None


def _next_step(
    children: dict[tuple[int, str], int], sequence: Sequence[int], lines: list[str], place: int, max_height: int
) -> tuple[int, int] | None:
    """The node that the next lines lead to, and its number of lines."""
    for height in range(min(max_height, len(lines) - place), 0, -1):
        step = "\n".join(lines[place : place + height])
        for state in dict.fromkeys(reversed(sequence)):
            if (child := children.get((state, step))) is not None:
                return child, height
    return None


def _jump_target(graph: ReasoningGraph, words: str) -> int | None:
    """The state that the words after "back to" name: by the end of its step, or any part of it; latest first."""
    quoted = re.search(r'"(.+?)"', words)
    name = _TOKENS.findall(quoted[1] if quoted else words.rpartition(":")[2])
    name = list(dropwhile(_is_punctuation, name))
    name = list(dropwhile(_is_punctuation, name[::-1]))[::-1]
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


@lru_cache(maxsize=1 << 14)  # a text that goes back often names the same states repeatedly
def _tokens(text: str) -> list[str]:
    return _TOKENS.findall(text)


def _is_punctuation(token: str) -> bool:
    return not token.isalnum()
