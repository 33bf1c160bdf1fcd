"""The comparison that runs in the processes of the math verifier: math-verify over sympy, without its own time limits.

math-verify reads plain expressions with Python's `eval`, so it is only ever given LaTeX, which it parses by grammar.
"""

import logging
from typing import NamedTuple

from math_verify import LatexExtractionConfig, parse, verify

MAX_SPELLING_CHARS = 200
_LATEX = [LatexExtractionConfig(boxed_match_priority=0)]

# It warns that its time limits are off; they are: this process is killed instead.
logging.getLogger("math_verify").setLevel(logging.ERROR)


class Comparison(NamedTuple):
    """Whether two answers are equal, and one spelling of each for all its forms; empty for one that cannot be read."""

    equal: bool
    gold: str
    answer: str


def compare(pair: tuple[str, str]) -> Comparison:
    """Compare a gold answer with a response's answer; in this order, because math-verify is not symmetric."""
    gold, answer = (_parse(text) for text in pair)
    equal = bool(gold and answer) and verify(gold, answer, timeout_seconds=None)
    return Comparison(equal, _spelling(gold, pair[0]), _spelling(answer, pair[1]))


def _parse(text: str) -> list:
    return parse(rf"\boxed{{{text}}}", _LATEX, fallback_mode="no_fallback", parsing_timeout=None)


def _spelling(parsed: list, source: str) -> str:
    if not parsed:
        return ""
    text = str(parsed[0])
    return text if len(text) <= MAX_SPELLING_CHARS else source
