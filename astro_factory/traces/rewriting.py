"""The words between steps, apart from them: which lines a model may reword, and which of its answers are taken."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from astro_factory.core.config import TemplateSource
from astro_factory.core.trees import Tree
from astro_factory.traces.backtrack_markers import backtrack_counter
from astro_factory.traces.response_parser import match_sequence
from astro_factory.traces.trace_filters import is_clean

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SAID = frozenset({"reflect", "verdict", "backtrack", "restart"})
_LONGEST = 4
"""How many times as long as the line a rewording may be."""


class Line(NamedTuple):
    """Words said at one place."""

    first: int
    """Index of its first segment."""
    last: int
    """Index after its last segment."""
    text: str
    before: str
    """The trace up to here."""


def rewritable_lines(row: Mapping[str, Any]) -> list[Line]:
    """The lines of a trace's row that are neither steps nor answer."""
    text, segments = row["messages"][-1]["content"], row["segments"]
    lines: list[Line] = []
    place = 0
    while place < len(segments):
        last = place + 1
        if segments[place]["kind"] in _SAID:
            while last < len(segments) and _same_line(text, segments[last - 1], segments[last]):
                last += 1
            start, end = segments[place]["start"], segments[last - 1]["end"]
            lines.append(Line(place, last, text[start:end], text[: max(start - 1, 0)]))
        place = last
    return lines


def _same_line(text: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return other["kind"] in _SAID and text[one["end"] : other["start"]] == " "


class RewriteChecker:
    """Says whether a rewording still says what the line says."""

    def __init__(self, template: TemplateSource):
        self._goes_back = backtrack_counter(template)

    def refusal(self, line: str, other: str, tree: Tree) -> str:
        """Why a rewording is refused; empty where it is taken."""
        if not other:
            return "empty"
        if "\n" in other or not is_clean(other) or len(other) > _LONGEST * len(line) + 100:
            return "not_one_line"
        if Counter(_NUMBER.findall(line)) != Counter(_NUMBER.findall(other)):
            return "other_numbers"
        if self._goes_back(line) != self._goes_back(other):
            return "other_marker"
        if any(node.text == other or node.closing == other for node in tree.nodes):
            return "is_a_step"
        return ""


def apply_rewrites(row: Mapping[str, Any], tree: Tree, texts: Mapping[Line, str]) -> dict[str, Any] | None:
    """The row with these lines in other words, or None where its text is not read as the same node sequence.

    What was said at one place becomes one segment, of the kind of its last part.
    """
    first = {line.first: (line, text) for line, text in texts.items()}
    segments: list[dict[str, Any]] = []
    parts: list[str] = []
    content, place, index = row["messages"][-1]["content"], 0, 0
    while index < len(row["segments"]):
        line, text = first.get(index, (None, row["segments"][index]["text"]))
        last = index + 1 if line is None else line.last
        if index:
            gap = content[row["segments"][index - 1]["end"] : row["segments"][index]["start"]]
            parts.append(gap)
            place += len(gap)
        segments.append(row["segments"][last - 1] | {"text": text, "start": place, "end": place + len(text)})
        parts.append(text)
        place, index = place + len(text), last
    response = "".join(parts)
    if match_sequence(response, tree) != row["node_sequence"]:
        return None
    messages = [*row["messages"][:-1], row["messages"][-1] | {"content": response}]
    return {**row, "messages": messages, "segments": segments}
