"""What two wordings of a step have in common: numbers, claims, boxed answers, language, the place that is named.

All checks are computed. They refuse some good rewordings, for which the original stays, rather than accept a bad one.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence, Set

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_RELATION = r"(?:[=<>\u2248\u2260\u2261\u2264\u2265]|\\(?:leq?|geq?|neq?|lt|gt|approx|equiv)(?![A-Za-z]))"
_OPERAND = (
    rf"(?:(?!{_RELATION})\\[A-Za-z]++|(?<![A-Za-z])[A-Za-z](?![A-Za-z])|(?<!\d)(?<!\d[.,])\d[\d.,]*+"
    r"|[-+*/^_(){}\[\]\u00b7\u00d7\u00f7|!%])"
)
_SIDE = rf"{_OPERAND}(?:\s*+{_OPERAND}){{0,200}}+"
_CLAIM = re.compile(rf"{_SIDE}(?:\s*+{_RELATION}\s*+{_SIDE})++")
"""Possessive and bounded, so that its time grows with the length of a text alone."""
_BOX = re.compile(r"\\boxed\s*\{")
_WORD = re.compile(r"(?<!\\)\b[^\W\d_]{2,}\b")
_REFUSAL = re.compile(
    r"\W*(?:i(?:['\u2019]?m| am) (?:sorry|afraid|unable)|sorry\b|i (?:cannot|can['\u2019]?t|won['\u2019]?t)\b"
    r"|as an ai\b|unfortunately\b|(?:sure|certainly|of course)[,!.]|here['\u2019]?s\b|here is (?:the|a|your)\b)",
    re.IGNORECASE,
)
_FEWEST_WORDS = 5
_KNOWN_SHARE = 1 / 3


def numbers(text: str) -> Counter[str]:
    """The numbers in a text."""
    return Counter(found.rstrip(".,") for found in _NUMBER.findall(text))


def claims(text: str) -> Counter[str]:
    """The equations and inequalities in a text, without white space and surrounding punctuation."""
    return Counter(re.sub(r"\s+", "", found[0]).strip(".,(){}[]") for found in _CLAIM.finditer(text))


def boxed(text: str) -> list[str]:
    r"""The content of each `\boxed{…}`."""
    found = []
    for start in _BOX.finditer(text):
        depth, end = 1, start.end()
        while end < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        found.append(re.sub(r"\s+", "", text[start.end() : end - 1]))
    return found


def words(text: str) -> list[str]:
    """Words of at least two letters, without LaTeX commands, in lower case."""
    return [word.casefold() for word in _WORD.findall(text)]


def is_refusal(text: str) -> bool:
    """Whether a response speaks to the person who asks instead of going on with the solution."""
    return _REFUSAL.match(text) is not None


def is_other_language(text: str, known: Set[str], context: str) -> bool:
    """Whether a text has letters that the context lacks, or too few words that are known.

    Words for everything else may be new, but the small words of a language occur in any few sentences of it.
    """
    if any(letter.isalpha() and not letter.isascii() and letter not in context for letter in text):
        return True
    found = words(text)
    shared = sum(word in known for word in found)
    return len(found) >= _FEWEST_WORDS and shared < _KNOWN_SHARE * len(found)


def names_another(text: str, target: str, others: Sequence[str]) -> bool:
    """Whether the words of a text fit one of the other steps better than the target."""
    said = _terms([text])
    shared = len(said & _terms([target]))
    return any(len(said & _terms([other]) - _terms([target])) > shared for other in others)


def _terms(texts: Iterable[str]) -> set[str]:
    return {term for text in texts for term in (*words(text), *numbers(text)) if len(term) > 3 or term[0].isdigit()}
