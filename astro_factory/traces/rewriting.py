"""Rewording a trace: its steps and moves in other words, one after the other, each given the text so far.

A step keeps its meaning if it has the same numbers, claims (equations and inequalities) and boxed answer. A move (what
a trace says between steps) also has to keep the template's words for going back, and must not name another step than
the one that it goes back to. The reworded trace has to read as the same node sequence.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from astro_factory.core.config import TemplateSource
from astro_factory.core.step_format import LINES, StepFormat, StepLayout
from astro_factory.core.trees import Tree
from astro_factory.traces.backtrack_markers import backtrack_counter
from astro_factory.traces.response_parser import match_sequence
from astro_factory.traces.rewording_checks import (
    boxed,
    claims,
    is_other_language,
    is_refusal,
    names_another,
    numbers,
    words,
)
from astro_factory.traces.trace_filters import is_clean

What = Literal["moves", "steps", "both"]
Kind = Literal["step", "move"]
_MOVES = frozenset({"reflect", "verdict", "backtrack", "restart"})
"""Segments that belong to a move; those of one move share a line."""
_MAX_GROWTH = 4
"""A rewording may be this many times as long as its original, plus 100 characters."""


class Piece(NamedTuple):
    """A step, a move, or the answer, which is never reworded."""

    kind: Kind | Literal["answer"]
    first: int
    """Index of its first segment."""
    last: int
    """Index after its last segment."""
    node: int
    """The step's node, or the node that a move goes back to."""
    gap: str
    """What stands between the piece before and this one."""
    text: str


def pieces_of(row: Mapping[str, Any]) -> Iterator[Piece]:
    """The pieces of a trace's row in their order."""
    text, segments = row["messages"][-1]["content"], row["segments"]
    first = end = 0
    while first < len(segments):
        last, found = first + 1, segments[first]["kind"]
        while found in _MOVES and last < len(segments) and _same_line(text, segments[last - 1], segments[last]):
            last += 1
        start, gap = segments[first]["start"], text[end : segments[first]["start"]]
        end = segments[last - 1]["end"]
        kind = "step" if found == "step" else "move" if found in _MOVES else "answer"
        yield Piece(kind, first, last, segments[last - 1]["node"], gap, text[start:end])
        first = last


def _same_line(text: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return other["kind"] in _MOVES and text[one["end"] : other["start"]] == " "


class RewriteChecker:
    """Decides whether a rewording still says what its original says."""

    def __init__(self, template: TemplateSource, known: Iterable[str] = (), layout: StepLayout = LINES):
        """`known` are texts whose words a rewording may use, such as the examples of the prompt; `layout` is how the
        traces write steps."""
        self.layout = layout
        self._count_backtracks = backtrack_counter(template)
        self._known = frozenset(word for text in known for word in words(text))

    def refusal(
        self,
        kind: str,
        original: str,
        rewording: str,
        tree: Tree,
        target: str = "",
        others: Sequence[str] = (),
        context: str = "",
    ) -> str:
        """Why a rewording of a step or move is refused; empty if it is accepted.

        Args:
            original: the text, with the quotations that it has in the reworded trace.
            target: the step that a move goes back to, as the reworded trace has it.
            others: the other steps so far.
            context: the trace's text; its words count as known.
        """
        if not rewording:
            return "empty"
        if is_refusal(rewording):
            return "no_rewording"
        if not is_clean(rewording) or len(rewording) > _MAX_GROWTH * len(original) + 100:
            return "too_long_or_unclean"
        if not self._is_one(kind, rewording) and self._is_one(kind, original):
            return "several_lines"
        known = self._known | {word for text in (tree.problem.question, context) for word in words(text)}
        if is_other_language(rewording, known, context + tree.problem.question):
            return "other_language"
        goes_back = self._count_backtracks(original)
        if kind == "step":
            fault = _step_fault(original, rewording)
        else:
            fault = _move_fault(original, rewording, target if goes_back else "", others)
        if not fault and rewording != original and any(rewording in (n.text, n.closing) for n in tree.nodes):
            fault = "is_a_step"
        return fault or ("other_marker" if goes_back != self._count_backtracks(rewording) else "")

    def _is_one(self, kind: str, text: str) -> bool:
        """Whether a text reads as one step, or as a move on one line."""
        if kind != "step":
            return "\n" not in text
        found = self.layout.split(self.layout.write(text, 1))
        is_open = isinstance(self.layout, StepFormat) and self.layout.is_open(text)
        return [piece.text for piece in found] == [text] and not is_open


def _step_fault(original: str, rewording: str) -> str:
    if numbers(original).keys() != numbers(rewording).keys():
        return "other_numbers"
    if claims(original) != claims(rewording) or boxed(original) != boxed(rewording):
        return "other_claims"
    return ""


def _move_fault(original: str, rewording: str, target: str, others: Sequence[str]) -> str:
    if target:  # the place may be named in other words than its own
        original = original.replace(target.replace("\n", " "), "")
    added = numbers(rewording) - numbers(original)
    if numbers(original) - numbers(rewording) or added.keys() - numbers(target).keys():
        return "other_numbers"
    if claims(original) - claims(rewording) or boxed(original) != boxed(rewording):
        return "other_claims"
    return "other_place" if target and names_another(rewording, target, others) else ""


def reword(
    row: Mapping[str, Any],
    tree: Tree,
    what: What,
    checker: RewriteChecker,
    counts: Counter[str],
    keeps_answer: Callable[[str], bool] | None = None,
) -> Generator[dict[str, Any], list[str], dict[str, Any]]:
    """Word the pieces of a trace in turn: yields the variables of a prompt, is sent the responses, returns the row.

    The first acceptable response is used; otherwise the original stays. `counts` gets the numbers for the statistics.
    `keeps_answer` says whether the final answer of a reworded text is that of the original.
    """
    wanted = {"steps": {"step"}, "moves": {"move"}, "both": {"step", "move"}}[what]
    original_text = row["messages"][-1]["content"]
    text, segments, wordings, changed = "", [], dict[int, str](), 0
    for piece in pieces_of(row):
        text += piece.gap
        marker, line = _without_marker(piece, tree)
        if piece.kind == "move":
            line = _with_quotations(line, tree, piece.node, wordings)
        new = wordings.get(piece.node) if piece.kind == "step" else None
        asked = new is None and piece.kind in wanted
        if asked:
            others = dict(wordings)
            target = others.pop(piece.node, "") if piece.kind == "move" else ""
            variables = {"problem": tree.problem, "line": line, "before": text.rstrip()}
            answers = yield variables | {"kind": piece.kind, "target": target}
            about = tree, target, tuple(others.values()), text + original_text
            faults = [checker.refusal(piece.kind, line, said.strip(), *about) for said in answers]
            counts["lines"] += 1
            if "" in faults:
                new = answers[faults.index("")].strip()
                changed += 1
            else:
                counts[f"refused_{faults[0]}"] += 1
        new = line if new is None else new
        if piece.kind == "step":
            wordings[piece.node] = new
        start, text = len(text), text + marker + new
        segments += _segments(row["segments"][piece.first : piece.last], start, text, in_parts=new == line)
    if not changed:
        return {**row}
    reworded = replace(tree, nodes=[replace(n, text=wordings.get(i, n.text)) for i, n in enumerate(tree.nodes)])
    same_sequence = match_sequence(text, reworded, checker.layout) == row["node_sequence"]
    if not same_sequence or (keeps_answer and not keeps_answer(text)):
        counts["refused_answers" if same_sequence else "refused_traces"] += 1
        return {**row}
    counts["lines_reworded"] += changed
    counts["traces_reworded"] += 1
    messages = [*row["messages"][:-1], row["messages"][-1] | {"content": text}]
    return {**row, "messages": messages, "segments": segments}


def _segments(old: Sequence[Mapping[str, Any]], start: int, text: str, in_parts: bool) -> list[dict[str, Any]]:
    """The segments of a piece from `start` to the end of `text`: its old ones, of which the last may have other words
    (`in_parts`), or a single one of the kind of the last."""
    shift = start - old[0]["start"]
    parts = [{**part, "start": part["start"] + shift, "end": part["end"] + shift} for part in old[:-1] if in_parts]
    last = old[-1]["start"] + shift if in_parts else start
    return [*parts, {**old[-1], "text": text[last:], "start": last, "end": len(text)}]


def _without_marker(piece: Piece, tree: Tree) -> tuple[str, str]:
    """The marker of a numbered step, which stays, and the rest."""
    if piece.kind != "step":
        return "", piece.text
    marker, step, _ = piece.text.partition(tree.nodes[piece.node].text)
    return (marker, step) if step else ("", piece.text)


def _with_quotations(line: str, tree: Tree, node: int, wordings: Mapping[int, str]) -> str:
    """A move's text with its quotation of a step in the step's new words; the quotation may be cut off."""
    old, new = tree.nodes[node].text.replace("\n", " "), wordings.get(node)
    if not old or new is None or new == tree.nodes[node].text:
        return line
    size = next((size for size in range(len(old), 0, -1) if old[:size] in line), 0)
    if size < min(len(old), 20):
        return line
    cut = line.partition(old[:size])
    return cut[0] + new.replace("\n", " ") + (cut[2].removeprefix("...") if size < len(old) else cut[2])
