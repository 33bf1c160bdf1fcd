"""Rewording the text between a trace's steps: which lines a model may reword, and which rewordings are accepted."""

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
_KINDS = frozenset({"reflect", "verdict", "backtrack", "restart"})
"""Segments that may be reworded."""
_MAX_GROWTH = 4
"""A rewording may be this many times as long as its line, plus 100 characters."""


class Line(NamedTuple):
    """The text of one move."""

    first: int
    """Index of its first segment."""
    last: int
    """Index after its last segment."""
    text: str
    before: str
    """The trace up to the line."""


def rewritable_lines(row: Mapping[str, Any]) -> list[Line]:
    """The lines of a trace's row that are neither steps nor the answer."""
    text, segments = row["messages"][-1]["content"], row["segments"]
    lines: list[Line] = []
    first = 0
    while first < len(segments):
        last = first + 1
        if segments[first]["kind"] in _KINDS:
            while last < len(segments) and _same_line(text, segments[last - 1], segments[last]):
                last += 1
            start, end = segments[first]["start"], segments[last - 1]["end"]
            lines.append(Line(first, last, text[start:end], text[: max(start - 1, 0)]))
        first = last
    return lines


def _same_line(text: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return other["kind"] in _KINDS and text[one["end"] : other["start"]] == " "


class RewriteChecker:
    """Decides whether a rewording still has the meaning of its line."""

    def __init__(self, template: TemplateSource):
        self._count_backtracks = backtrack_counter(template)

    def refusal(self, line: str, rewording: str, tree: Tree) -> str:
        """Why a rewording is refused; empty if it is accepted."""
        if not rewording:
            return "empty"
        if "\n" in rewording or not is_clean(rewording) or len(rewording) > _MAX_GROWTH * len(line) + 100:
            return "not_one_line"
        if Counter(_NUMBER.findall(line)) != Counter(_NUMBER.findall(rewording)):
            return "other_numbers"
        if self._count_backtracks(line) != self._count_backtracks(rewording):
            return "other_marker"
        if any(node.text == rewording or node.closing == rewording for node in tree.nodes):
            return "is_a_step"
        return ""


def apply_rewrites(row: Mapping[str, Any], tree: Tree, texts: Mapping[Line, str]) -> dict[str, Any] | None:
    """The row with these lines reworded, or None if its text no longer matches the same node sequence.

    The segments of a reworded line become one segment, of the kind of the last one.
    """
    rewrites = {line.first: (line, text) for line, text in texts.items()}
    segments: list[dict[str, Any]] = []
    parts: list[str] = []
    content, offset, index = row["messages"][-1]["content"], 0, 0
    while index < len(row["segments"]):
        line, text = rewrites.get(index, (None, row["segments"][index]["text"]))
        last = index + 1 if line is None else line.last
        if index:
            gap = content[row["segments"][index - 1]["end"] : row["segments"][index]["start"]]
            parts.append(gap)
            offset += len(gap)
        segments.append(row["segments"][last - 1] | {"text": text, "start": offset, "end": offset + len(text)})
        parts.append(text)
        offset, index = offset + len(text), last
    response = "".join(parts)
    if match_sequence(response, tree) != row["node_sequence"]:
        return None
    messages = [*row["messages"][:-1], row["messages"][-1] | {"content": response}]
    return {**row, "messages": messages, "segments": segments}
