"""Parses text that no template rendered, as far as possible: a model's own response, or a trace that it reworded.

    graph = ResponseParser(template, steps=StepFormat(format="blank_line")).parse(response, question)
    graph.backtracks, graph.dead_ends, graph.revisited, graph.unresolved

`trace_parser.parse` inverts `render` exactly and rejects any other text; this accepts any text and counts what it could
not resolve.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain, dropwhile, pairwise

from astro_factory.core.config import TemplateSource
from astro_factory.core.problems import Problem
from astro_factory.core.step_format import LINES, StepFormat, StepLayout
from astro_factory.core.trees import Tree
from astro_factory.traces.backtrack_markers import backtrack_counter, block_markers, marker_finder
from astro_factory.traces.response_steps import Target, Words, items_of, latest, target_of
from astro_factory.traces.state_moves import state_moves
from astro_factory.verifiers import get_verifier

_TOKENS = re.compile(r"\w+|[^\w\s]")


@dataclass
class ReasoningGraph:
    """The graph of a chain of thought: states, the steps between them, and the order in which they are visited."""

    texts: list[str] = field(default_factory=lambda: [""])
    """The step that led to each state; for the first state, the question."""
    parents: list[int] = field(default_factory=lambda: [-1])
    sequence: list[int] = field(default_factory=lambda: [0])
    """States in the order of the text, as in `traces.sequence`: each is a step, a pause (the same again) or a jump."""
    recent: dict[int, None] = field(default_factory=lambda: {0: None})
    """The visited states, the latest one last."""
    unresolved: int = 0
    """Jumps to a state that the text names but that does not exist; the current state stays the same."""
    children: dict[tuple[int, str], int] = field(default_factory=dict)
    """The state that a step leads to, by the state before and the step."""
    lines: list[tuple[str, int]] = field(default_factory=list)
    """For each line (with a step format: each step and each paragraph between steps): `step`, `jump`, `unresolved`,
    `words` or `answer`, and the state after it."""
    starts: list[int] = field(default_factory=list)
    """With a step format: where each of `lines` begins in the text."""

    def jumps(self) -> list[tuple[int, int]]:
        """For each jump, the state that it leaves and the state that it goes back to."""
        return [(a, b) for a, b in pairwise(self.sequence) if a != b and self.parents[b] != a]

    @property
    def backtracks(self) -> int:
        return len(self.jumps()) + self.unresolved

    @property
    def dead_ends(self) -> int:
        """States that a jump leaves and that no step continues."""
        return len({left for left, _ in self.jumps()} - set(self.parents))

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
        self.visit(target)
        return target

    def visit(self, state: int) -> None:
        """Be at a state, which is the latest one now."""
        self.sequence.append(state)
        self.recent.pop(state, None)
        self.recent[state] = None


class ResponseParser:
    """Parses responses written in the words of a template."""

    def __init__(
        self,
        template: TemplateSource | None,
        is_step: Callable[[str], bool] | None = None,
        steps: StepFormat | None = None,
    ):
        """Without `steps`, steps are lines; `is_step` tells them from others, and by default every line without words
        of the template is one. With `steps`, a response may also go back in words of its own, and `template` may be
        None.
        """
        markers = partial(block_markers, template) if template else lambda blocks: []
        self._find_jump = marker_finder(markers(("backtrack", "restart")))
        self._find_words = marker_finder(markers(("reflect", "wrong", "right", "backtrack", "restart")))
        self._words = Words(self._find_jump, self._find_words)
        self._is_step = is_step or (lambda line: True)
        self._steps = steps

    def parse(self, response: str, question: str = "") -> ReasoningGraph:
        """The graph of a response. A jump to something that the question says goes to the first state."""
        if self._steps is not None:
            return _graph(response, question, self._steps, self._words)
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
                    graph.visit(state)
                graph.lines.append(("unresolved" if target is None else "jump", state))
            elif self._find_words(line) is not None or not self._is_step(line):
                if graph.sequence[-2:] != [state, state] and state:
                    graph.visit(state)
                graph.lines.append(("words", state))
            else:
                state = graph.add_step(state, line.strip())
                graph.lines.append(("step", state))
        return graph


def _graph(response: str, question: str, steps: StepFormat, words: Words) -> ReasoningGraph:
    graph, state = ReasoningGraph(texts=[question]), 0
    numbers = {0: 0}
    count = 0
    for kind, text, number, start in items_of(response, steps, words):
        if kind == "step":
            state = graph.add_step(state, text)
            count += 1
            numbers[count if number is None else number] = state
        elif kind == "jump":
            target = _state_of(graph, target_of(text, words), numbers, state)
            if target is None:
                kind, graph.unresolved = "unresolved", graph.unresolved + 1
            else:
                state = target
                graph.visit(state)
        elif kind == "words" and state and graph.sequence[-2:] != [state, state]:
            graph.visit(state)
        graph.lines.append((kind, state))
        graph.starts.append(start)
    return graph


def _state_of(graph: ReasoningGraph, target: Target, numbers: Mapping[int, int], state: int) -> int | None:
    """The state that a jump leads to; None for one that does not exist."""
    match target.how:
        case "after_step":
            return numbers.get(target.number)
        case "before_step":
            return graph.parents[numbers[target.number]] if numbers.get(target.number) else None
        case "quote":
            return latest(reversed(graph.recent), graph.texts, target.quote)
        case "one_back":
            return max(0, graph.parents[state])
        case "beginning":
            return 0
    return None


def response_measures(
    template: TemplateSource, steps: StepFormat | None = None
) -> Callable[[Problem, str], dict[str, int | None]]:
    """A function of a problem and a response that returns the measures shown in evaluations and training curves.

    Where the domain knows states (`Verifier.stated_steps`), moves are read from them. Elsewhere `backtracks` counts the
    template's words for going back, the others come from the graph of the text, and `repeated` is not known. `worded`
    counts the template's words everywhere: if it falls below `backtracks`, the wording has drifted.
    """
    parser, count_worded = ResponseParser(template, steps=steps), backtrack_counter(template)

    def measures(problem: Problem, response: str) -> dict[str, int | None]:
        verifier, worded = get_verifier(problem.verifier), count_worded(response)
        stated = verifier.stated_steps(problem, response)
        if stated is None:
            found, backtracks, repeated = parser.parse(response, problem.question), worded, None
        else:
            found = state_moves(verifier.start(problem), stated)
            backtracks, repeated = found.backtracks, found.repeated
        return {
            "backtracks": backtracks,
            "dead_ends": found.dead_ends,
            "revisited": found.revisited,
            "unresolved": found.unresolved,
            "repeated": repeated,
            "worded": worded,
        }

    return measures


def match_sequence(text: str, tree: Tree, layout: StepLayout = LINES) -> list[int] | None:
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
    lines = _unmarked(text, layout).split("\n")
    place = 0
    max_height = max((node.text.count("\n") for node in tree.nodes), default=0) + 1
    while place < len(lines):
        found = _next_step(children, sequence, lines, place, max_height)
        if found is None:
            words_before, place = words_before or bool(lines[place].strip()), place + 1
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


def _unmarked(text: str, layout: StepLayout) -> str:
    """A text without the numbers of its steps."""
    if not isinstance(layout, StepFormat) or not layout.has_markers:
        return text
    parts, position = [], 0
    for piece in layout.blocks(text):
        if piece.number is not None:
            parts += [text[position : piece.start], piece.text]
            position = piece.end
    return "".join([*parts, text[position:]])


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
    wanted = f" {' '.join(name)} "
    for fits in (str.endswith, str.__contains__):
        for state in chain(filter(None, reversed(graph.recent)), [0]):
            if fits(_tokens(graph.texts[state]), wanted):
                return state
    return None


@lru_cache(maxsize=1 << 14)  # a text that goes back often names the same states repeatedly
def _tokens(text: str) -> str:
    """The tokens of a text, each between two spaces."""
    return f" {' '.join(_TOKENS.findall(text))} "


def _is_punctuation(token: str) -> bool:
    return not token.isalnum()
