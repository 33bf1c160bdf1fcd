r"""Letters of a multiple choice, alone or before what they stand for: `(C)`, `C`, `\textbf{(C)}\ 12`, `Option A`."""

import re
from typing import NamedTuple

_MARKED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|rm|bf) ?\{([^{}]*)\}")
_LETTER = re.compile("[A-Ja-j]")
_SPACES = re.compile(r"\\(?:q?quad|displaystyle)(?![a-zA-Z])|\\[,;:!> ()]|~")
_CHOICE = re.compile(
    r"(?:(?P<word>option|choice) +)?"
    r"(?:\((?P<round>[A-J])\) *(?P<after>[^-+*/^=(,;\s].*)?|(?P<bare>[A-J])(?:[.):]+(?: +(?P<behind>.*))?)?)",
    re.DOTALL | re.IGNORECASE,
)


class Choice(NamedTuple):
    """A letter, in upper case, what stands behind it, and whether the letter stands alone without any mark."""

    letter: str
    value: str
    is_bare: bool


def choice_of(answer: str, is_gold: bool = False) -> Choice | None:
    """The choice that an answer states. A gold answer `c` is a variable, and `C` or `(c)` a choice."""
    if not _LETTER.search(answer):
        return None
    plain = _SPACES.sub(" ", _MARKED.sub(r"\1", answer)).replace("$", "").strip()
    match = _CHOICE.fullmatch(plain)
    if not match:
        return None
    letter = match["round"] or match["bare"]
    is_bare = bool(match["bare"]) and plain == letter and not match["word"]
    if is_gold and is_bare and letter.islower() and "\\" not in answer:
        return None
    value = (match["after"] or match["behind"] or "").strip()
    return Choice(letter.upper(), value, is_bare and answer.strip() == letter)


def states_choice(gold: str) -> bool:
    """Whether a known answer is a letter of a multiple choice."""
    return choice_of(gold, is_gold=True) is not None
