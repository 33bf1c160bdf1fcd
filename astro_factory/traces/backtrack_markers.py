"""Counts backtracks in text that a model wrote, by the words that a template uses for going back."""

import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from itertools import pairwise, product
from typing import Any

from astro_factory.core.config import TemplateSource
from astro_factory.core.step_format import LINES, StepFormat, StepLayout
from astro_factory.traces.render import Move, move_variables
from astro_factory.traces.sample_tree import sample_tree
from astro_factory.traces.template_renderer import TemplateRenderer

_TOKENS = re.compile(r"\w+|[^\w\s]")
_MOVES = (Move.jump(2, 1), Move.jump(3, 0), Move.jump(2, 0), Move.jump(3, 1), Move.finish(5), Move.pause(1))
"""Moves over the sample tree."""
_LAYOUTS = (LINES, StepFormat(format="heading"))
"""A template may name steps by their numbers where these are shown."""


def backtrack_counter(template: TemplateSource) -> Callable[[str], int]:
    """A function that counts the backtracks and restarts in a response, by the template's words for them.

    White space, case, and the numbers and quotations in a phrase are ignored. If a template has no words for going
    back, the counter returns 0.
    """
    markers = backtrack_markers(template)
    if not markers:
        return lambda text: 0
    pattern = _compile(markers)
    return lambda text: sum(1 for _ in pattern.finditer(text))


def backtrack_markers(template: TemplateSource) -> list[tuple[str, ...]]:
    """The longest run of the template's own words in each phrase for going back, longest first."""
    return block_markers(template, ("backtrack", "restart"))


def block_markers(template: TemplateSource, blocks: Sequence[str]) -> list[tuple[str, ...]]:
    """The longest run of the template's own words in each phrase of these blocks, longest first.

    Words that occur in renderings of two unrelated samples are the template's own; the others come from the problem.
    """
    renderer = TemplateRenderer(template)
    markers: set[tuple[str, ...]] = set()
    for layout, (attempt, move) in product(_LAYOUTS, enumerate(_MOVES, start=1)):
        for block in set(move.blocks).intersection(blocks):
            first, second = (
                list(renderer.alternatives(block, _variables(variant, move, attempt * variant, layout)))
                for variant in (1, 2)
            )
            markers.update(_common_run(one, other) for one, other in zip(first, second, strict=False))
    return sorted((marker for marker in markers if any(map(str.isalpha, marker))), key=lambda m: (-len(m), m))


def marker_finder(markers: Sequence[tuple[str, ...]]) -> Callable[[str], int | None]:
    """A function that returns where the first marker in a text ends; None if there is none."""
    if not markers:
        return lambda text: None
    pattern = _compile(markers)
    return lambda text: found.end() if (found := pattern.search(text)) else None


def _compile(markers: Sequence[tuple[str, ...]]) -> re.Pattern[str]:
    return re.compile("|".join(map(_pattern, markers)), re.IGNORECASE)


def _variables(variant: int, move: Move, attempt: int, layout: StepLayout) -> dict[str, Any]:
    tree = sample_tree(variant)
    numbers = {node: 10 * variant + node for node in range(6)}
    return move_variables(tree, move, attempt, numbers, tree.path(move.judged), layout)


def _common_run(one: str, other: str) -> tuple[str, ...]:
    """The longest run of tokens in both texts, without punctuation at its ends."""
    first, second = _TOKENS.findall(one), _TOKENS.findall(other)
    match = SequenceMatcher(None, first, second, autojunk=False).find_longest_match()
    run = first[match.a : match.a + match.size]
    words = [place for place, token in enumerate(run) if token.isalnum()]
    return tuple(run[words[0] : words[-1] + 1]) if words else ()


def _pattern(marker: tuple[str, ...]) -> str:
    """Matches words separated by white space, and punctuation with or without white space."""
    pattern = re.escape(marker[0])
    for before, token in pairwise(marker):
        pattern += r"\s+" if before[-1].isalnum() and token[0].isalnum() else r"\s*"
        pattern += re.escape(token)
    return rf"(?<!\w){pattern}(?!\w)"
