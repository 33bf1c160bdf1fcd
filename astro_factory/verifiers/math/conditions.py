r"""Conditions behind an answer: `x = k\pi, k \in \mathbb{Z}`, `2^{n-1}` for `n \ge 2`.

A condition that only one of two answers states counts as left out; two that are stated have to be the same.
"""

import re

from astro_factory.verifiers.math.latex_normalize import split, tokens

_COMMAS = frozenset((",", ";"))
_OPENING = re.compile(r"\\text\{ ?,? ?(?:for|where|if|when|with|whenever|provided(?: that)?|as long as) ?([^{}]*)\}")
_PLAIN_OPENING = re.compile(r"(?<=[\s,;])(?:for|where|if|when|with) ")
_MEMBER = re.compile(
    r"\(?(?<![\w\\})])([a-zA-Z](?: ?, ?[a-zA-Z])*) ?\\in ?"
    r"(?:\\mathbb\{([ZNRQ])\}|([ZNRQ]))(?:[_^]\{[^{}]{0,12}\})? ?\)?"
)
_INTEGER = re.compile(
    r"\(?(?:(?:any|some|all|an|every) )?"
    r"(?:integers? ([a-zA-Z])|([a-zA-Z]) (?:is )?(?:an? |any |some )?integers?)\)?"
)
_TEXT = re.compile(r"\\text ?\{([^{}]*)\}")
_BOUND = re.compile(r"([a-zA-Z]) ?(?:[<>]|\\[lg]e(?![a-zA-Z])) ?[^,;=<>]{1,40}")
_SIGN = re.compile(r"[=<>]|\\(?:[lg]e|ne|approx|equiv|in)(?![a-zA-Z])")
_UNEQUAL = re.compile(r"[a-zA-Z](?:_\{\w\})? ?\\ne ?[^,;=<>]{1,40}")


def split_condition(text: str) -> tuple[str, str, frozenset[str]] | None:
    """The answer, its condition and the names that run through the integers; None where there is no condition."""
    if match := _OPENING.search(text):
        body, rest = text[: match.start()], f"{match[1]} {text[match.end() :]}"
    elif (match := _PLAIN_OPENING.search(text)) and "\\text" not in text[: match.start()]:
        body, rest = text[: match.start()], text[match.end() :]
    else:
        return _behind_comma(text)
    body = body.strip(" ,;(")
    condition, parameters = condition_of(rest)
    if not body or not condition or not balanced_quickly(body):
        return None
    return body, condition, parameters


def _behind_comma(text: str) -> tuple[str, str, frozenset[str]] | None:
    r"""`\ldots, k \in \mathbb{Z}` and `\ldots (k \in \mathbb{Z})`."""
    parts, _ = split(text, _COMMAS)
    found = list(_MEMBER.finditer(text))
    if found and found[-1].end() == len(text) and found[-1].start():
        at = found[-1].start()
        before = text[:at].rstrip()
        if before.endswith((",", ";")) or text[at] == "(" or before.endswith(" "):
            condition, parameters = condition_of(text[at:])
            body = before.strip(" ,;")
            return (body, condition, parameters) if body and balanced_quickly(body) else None
    if len(parts) == 2 and (_UNEQUAL.fullmatch(parts[1]) or _integer(parts[1])) and not _UNEQUAL.fullmatch(parts[0]):
        condition, parameters = condition_of(parts[1])
        return (parts[0], condition, parameters) if parts[0] else None
    bound = _BOUND.fullmatch(parts[1]) if len(parts) == 2 and not _SIGN.search(parts[0]) else None
    if bound and bound[1] in tokens(parts[0]):
        return parts[0], *condition_of(parts[1])
    return None


def condition_of(text: str) -> tuple[str, frozenset[str]]:
    """One spelling of a condition, and the names in it that run through the integers."""
    text = text.strip(" .,;()") if text.count("(") == text.count(")") else text.strip(" .,;")
    if match := _MEMBER.fullmatch(text):
        kind = match[2] or match[3]
        names = frozenset(match[1].replace(" ", "").split(","))
        return (kind, names) if kind in "ZN" else (f"{match[1]} in {kind}", frozenset())
    if name := _integer(text):
        return "Z", frozenset((name,))
    return "".join(tokens(_TEXT.sub(r"\1", text).replace(" ", ""))), frozenset()


def _integer(text: str) -> str:
    match = _INTEGER.fullmatch(" ".join(_TEXT.sub(r" \1 ", text).split()))
    return (match[1] or match[2]) if match else ""


def balanced_quickly(text: str) -> bool:
    """Whether no bracket is left open."""
    return sum(text.count(char) for char in "([{") == sum(text.count(char) for char in ")]}")
