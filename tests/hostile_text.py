"""Texts on which a regular expression takes as long as it can, and whether a function's time is linear in its text."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

Maker = Callable[[int], str]
"""A text of about so many characters."""
_SAMPLES = "\n a1A_.$\\{}(,=+-\t"
_ENDINGS = ("", "\0", "x\n")
_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    op.CATEGORY_DIGIT: str.isdigit,
    op.CATEGORY_NOT_DIGIT: lambda sign: not sign.isdigit(),
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_NOT_SPACE: lambda sign: not sign.isspace(),
    op.CATEGORY_WORD: lambda sign: sign.isalnum() or sign == "_",
    op.CATEGORY_NOT_WORD: lambda sign: not (sign.isalnum() or sign == "_"),
}
_LONG_ENOUGH_S = 0.001
"""A shorter time says nothing about growth. A text of 2,000 characters takes less in linear time."""
_MOST_GROWTH = 8.0
"""Between linear and quadratic growth for four times the text."""


def repeated(atom: str, before: str = "", ending: str = "") -> Maker:
    """Many times the same."""
    return lambda size: before + atom * max(1, (size - len(before)) // len(atom)) + ending


def hostile_to(pattern: re.Pattern[str]) -> Iterator[Maker]:
    """Each part of an expression again and again, after what leads to it or with it, and an end that does not match."""
    parts = dict.fromkeys(_parts(_parser.parse(pattern.pattern, pattern.flags), ""))
    pairs = dict.fromkeys(pair for before, part in parts if part for pair in ((before, part), ("", before + part)))
    for before, atom in pairs:
        for ending in _ENDINGS:
            yield repeated(atom, before, ending)


def is_superlinear(run: Callable[[str], object], make: Maker, size: int) -> bool:
    """Whether four times the text takes much more than four times as long, from a short text on and from `size` on."""
    for long in (40, size):  # exponential growth shows at once
        if _seconds(run, make(long)) > _LONG_ENOUGH_S and all(_grows(run, make, long * more) for more in (1, 4)):
            return True
    return False


def _grows(run: Callable[[str], object], make: Maker, long: int) -> bool:
    """Three tries, since another process may disturb one."""
    return all(_seconds(run, make(long)) > _MOST_GROWTH * _seconds(run, make(long // 4)) for _ in range(3))


def _seconds(run: Callable[[str], object], text: str) -> float:
    begun = time.process_time()
    run(text)
    return time.process_time() - begun


def _parts(sequence: Any, before: str) -> Iterator[tuple[str, str]]:
    """Each part of a parsed expression, and also all up to it, with an example of what stands before."""
    for node in sequence:
        examples = _examples(node)
        yield from ((before, text) for text in examples)
        for inner in _inside(node):
            yield from _parts(inner, before)
        before += examples[0]
        yield "", before


def _inside(node: tuple[Any, Any]) -> list[Any]:
    kind, value = node
    if kind is op.BRANCH:
        return list(value[1])
    if kind is op.SUBPATTERN or kind in _REPEATS:
        return [value[-1]]
    if kind in (op.ASSERT, op.ASSERT_NOT):
        return [value[1]]
    return [value] if kind is op.ATOMIC_GROUP else []


def _examples(node: tuple[Any, Any]) -> list[str]:
    """Texts that a node of a parsed expression matches; anchors, assertions and references count as empty."""
    kind, value = node
    if kind is op.LITERAL:
        return [chr(value)]
    if kind is op.NOT_LITERAL:
        return _members([(op.NEGATE, None), (op.LITERAL, value)])
    if kind is op.ANY:
        return ["a", " ", "\n"]
    if kind is op.IN:
        return _members(value)
    if kind is op.BRANCH:
        return [_examples_of(branch)[0] for branch in value[1]]
    if kind is op.SUBPATTERN:
        return _examples_of(value[-1])
    if kind is op.ATOMIC_GROUP:
        return _examples_of(value)
    if kind in _REPEATS:
        return [text * max(value[0], 1) for text in _examples_of(value[-1])]
    return [""]


def _examples_of(sequence: Any) -> list[str]:
    """The first example of each node, then with each other example of one node."""
    choices = [_examples(node) for node in sequence]
    first = [texts[0] for texts in choices]
    others = (
        ("".join([*first[:at], text, *first[at + 1 :]])) for at, texts in enumerate(choices) for text in texts[1:]
    )
    return ["".join(first), *others]


def _members(items: Sequence[tuple[Any, Any]]) -> list[str]:
    """Up to four characters of a class."""
    negated = items[0][0] is op.NEGATE

    def is_member(sign: str) -> bool:
        return negated != any(
            (kind is op.LITERAL and value == ord(sign))
            or (kind is op.RANGE and value[0] <= ord(sign) <= value[1])
            or (kind is op.CATEGORY and _CATEGORIES[value](sign))
            for kind, value in items
        )

    found = [sign for sign in _SAMPLES if is_member(sign)]
    if not negated:
        found += [chr(value) for kind, value in items if kind is op.LITERAL]
        found += [chr(value[0]) for kind, value in items if kind is op.RANGE]
    return found[:4] or ["\u00a7"]
