"""Which traces are dropped, and why: by length, by similarity, and because a step looks like words of the template."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from astro_factory.core.config import TemplateSource
from astro_factory.core.step_format import LINES, Delimiter, StepLayout
from astro_factory.core.trees import Tree
from astro_factory.traces.backtrack_markers import backtrack_counter
from astro_factory.traces.render import Segment

_UNCLEAN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|<\|[^|>\s]*\|>")
"""Control characters except tab and line feed, bidirectional controls, surrogates, and text that tokenizers read as
special tokens."""

MAX_MOVE_CHARS = 1000
"""Longest text of one block between steps: more than a few sentences is a step that a template quotes whole."""


def is_clean(text: str) -> bool:
    """Whether a text has no control characters or special tokens."""
    return not _UNCLEAN.search(text)


class TraceFilter:
    """The limits of one stage. Call `start_tree` with each tree, then `drop_reason` for each of its traces."""

    def __init__(
        self,
        template: TemplateSource,
        min_chars: int | None = None,
        max_chars: int | None = None,
        max_overlap: float | None = None,
        layout: StepLayout = LINES,
    ):
        """`layout` is how traces write their steps; with a step format, moves of more than `MAX_MOVE_CHARS` are
        dropped."""
        self._max_move_chars = float("inf") if isinstance(layout, Delimiter) else MAX_MOVE_CHARS
        count_backtracks = backtrack_counter(template)
        self._is_clean_step = lru_cache(1 << 16)(lambda step: is_clean(step) and not count_backtracks(step))
        self._limits = (min_chars or 0, max_chars or float("inf"))
        self._max_overlap = max_overlap
        self._kept: list[frozenset[tuple[int, int]]] = []

    def start_tree(self) -> None:
        """Start the next tree: traces are compared only with others of the same tree."""
        self._kept = []

    def drop_reason(self, tree: Tree, visited: Sequence[int], segments: Sequence[Segment], text: str) -> str:
        """Why a trace is dropped; empty if it is kept."""
        closing = tree.nodes[visited[-1]].closing
        steps = (segment.text for segment in segments if segment.kind == "step")
        if not (all(step and self._is_clean_step(step) for step in steps) and self._is_clean_step(closing)):
            return "unclean_step"
        if not states_answer(tree, visited[-1], segments):
            return "no_answer"
        if any(s.kind not in ("step", "answer") and len(s.text) > self._max_move_chars for s in segments):
            return "long_quote"
        shortest, longest = self._limits
        if not shortest <= len(text) <= longest:
            return "too_long" if len(text) > longest else "too_short"
        if self._max_overlap is not None:
            edges = frozenset(pairwise(visited))
            if any(len(edges & other) > self._max_overlap * len(edges | other) for other in self._kept):
                return "too_similar"
            self._kept.append(edges)
        return ""


def states_answer(tree: Tree, leaf: int, segments: Sequence[Segment]) -> bool:
    """Whether the last segment states the leaf's answer, or its last step already does."""
    node = tree.nodes[leaf]
    if not node.closing:
        return True
    return segments[-1].kind == "answer" and (node.closing in segments[-1].text or node.answer in segments[-1].text)
