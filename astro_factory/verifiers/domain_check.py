"""The domain's own check of a sample, for evaluations: is it accepted, and if not, how soon does it show?"""

import re

from astro_factory.core.problems import Problem
from astro_factory.verifiers.registry import get_verifier

_PIECES = re.compile(r"\S+|\n")


def domain_check(problem: Problem, text: str, tokens: int) -> dict[str, bool | float | None]:
    """The columns `accepted` and `fails_after` of a sample.

    The tokens up to a place are `tokens` in proportion to the words and line breaks up to it: exact for a word-level
    tokenizer, an estimate for others.
    """
    verifier = get_verifier(problem.verifier)
    accepted = verifier.accepts(problem, text)
    place = None if accepted is not False else verifier.fails_at(problem, text)
    if place is None:
        return {"accepted": accepted, "fails_after": None}
    read, rest = (len(_PIECES.findall(part)) for part in (text[:place], text[place:]))
    return {"accepted": accepted, "fails_after": tokens * read / (read + rest + 1)}  # 1 for the terminator
