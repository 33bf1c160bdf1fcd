"""Which traces are left out, and why: lengths, likeness, and steps that would be taken for words of ours."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from astro_factory.core.config import TemplateSource
from astro_factory.core.trees import Tree
from astro_factory.traces.backtrack_markers import backtrack_counter
from astro_factory.traces.render import Segment

_UNCLEAN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|<\|[^|>\s]*\|>")
"""Control characters but tab and line break, what turns the direction of writing over, halves of characters, and what
tokenizers read as special tokens."""


def is_clean(text: str) -> bool:
    """Whether a text has none of these."""
    return not _UNCLEAN.search(text)


class TraceFilter:
    """The limits of one stage. `begin` with each tree, then ask of each of its traces."""

    def __init__(
        self,
        template: TemplateSource,
        min_chars: int | None = None,
        max_chars: int | None = None,
        max_overlap: float | None = None,
    ):
        goes_back = backtrack_counter(template)
        self._clean = lru_cache(1 << 16)(lambda words: is_clean(words) and not goes_back(words))
        self._limits = (min_chars or 0, max_chars or float("inf"))
        self._max_overlap = max_overlap
        self._kept: list[frozenset] = []

    def start_tree(self) -> None:
        """The next tree: its traces are compared with one another only."""
        self._kept = []

    def drop_reason(self, tree: Tree, visited: Sequence[int], segments: Sequence[Segment], text: str) -> str:
        """Why a trace is left out; empty where it is kept."""
        steps = (segment.text for segment in segments if segment.kind == "step")
        if not (all(step and self._clean(step) for step in steps) and self._clean(tree.nodes[visited[-1]].closing)):
            return "unclean_step"
        if not states_answer(tree, visited[-1], segments):
            return "no_answer"
        shortest, longest = self._limits
        if not shortest <= len(text) <= longest:
            return "too_long" if len(text) > longest else "too_short"
        if self._max_overlap is not None:
            moves = frozenset(pairwise(visited))
            if any(len(moves & other) > self._max_overlap * len(moves | other) for other in self._kept):
                return "too_similar"
            self._kept.append(moves)
        return ""


def states_answer(tree: Tree, leaf: int, segments: Sequence[Segment]) -> bool:
    """Whether the trace's last words state the leaf's answer, as far as its last step does not."""
    node = tree.nodes[leaf]
    if not node.closing:
        return True
    return segments[-1].kind == "answer" and (node.closing in segments[-1].text or node.answer in segments[-1].text)
