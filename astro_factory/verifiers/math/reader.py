r"""From text to the form of an answer, by structure alone; the expressions inside stay text.

    >>> read(r"x = 3 \text{ or } x = -3")
    UnorderedList(items=(Relation(sides=(...), signs=('=',)), Relation(...)), joined='\\lor')

Written bare, `1, -2` is a list without order; `(1, -2)` is a tuple or an open interval, `[1, 2]` a closed interval,
`\{1, 2\}` a set.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial

from astro_factory.verifiers.math.answer_types import (
    Difference,
    Family,
    Form,
    Intersection,
    NamedSet,
    Ratio,
    Relation,
    Union,
    UnorderedList,
    UnreadableError,
    Value,
    Words,
)
from astro_factory.verifiers.math.bracket_reader import COMMAS, MAX_ITEMS, bracketed, flat, matrix, system, turned
from astro_factory.verifiers.math.conditions import split_condition
from astro_factory.verifiers.math.latex_normalize import balanced, enclosed, split, tidy, tokens
from astro_factory.verifiers.math.numbers import Number, as_number, as_numeral
from astro_factory.verifiers.math.unit_names import Unit, changes_value
from astro_factory.verifiers.math.units import compound, measured
from astro_factory.verifiers.math.words import as_prose, as_words, is_word, time_of_day

_JOINTS = ((r"\lor",), (r"\land",), (",", ";"))
_SIGNS = {
    "=": "=", "<": "<", ">": ">", r"\le": r"\le", r"\ge": r"\ge", r"\ne": r"\ne", r"\approx": "~", r"\equiv": r"\equiv",
    r"\perp": r"\perp", r"\parallel": r"\parallel", r"\sim": r"\sim", r"\cong": r"\cong", r"\subset": r"\subset",
    r"\subseteq": r"\subseteq", r"\Leftrightarrow": r"\Leftrightarrow",
}  # fmt: skip
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_MODULUS = re.compile(r"\A(.+?) ?\(? ?\\mod ?(\w{1,20}) ?\)?", re.DOTALL)
_MEMBERS = re.compile(r"(?:[a-zA-Z]|\([a-zA-Z, ]{1,20}\)) ?(?:\\in(?![a-zA-Z])|\bin\b) ?(.+)", re.DOTALL)
_PLUS_MINUS = re.compile(r"\\(pm|mp)(?![a-zA-Z])")
_LABEL = re.compile(r"\\text\{ ?([a-zA-Z][a-zA-Z ]{0,40}:?) ?\} ?([-(\[\d\\].*)", re.DOTALL)
_TITLE = re.compile(r"([A-Za-z]{2,20}(?: [A-Za-z]{2,20}){0,5}) ?: ?(.+)", re.DOTALL)
_ABOUT = re.compile(r"(?:[Aa]bout|[Aa]pproximately|[Ee]xactly|[Rr]oughly) ([\d\\(+-].*)", re.DOTALL)
_NAMES = re.compile(r"\\text\{([^{}]{1,200}(?:,| and )[^{}]{1,200})\}")
_PHRASES = {
    "all real numbers": "R", "all reals": "R", "real numbers": "R", "all integers": "Z", "empty set": "0",
    "all real number": "R", "the real numbers": "R", "any real number": "R",
}  # fmt: skip
_DECIMAL = r"(\d{1,9}(?:\.\d{1,20})?)"
_ANGLE = re.compile(rf"(-?) ?{_DECIMAL} ?\^\{{\\circ\}} ?{_DECIMAL} ?'(?: ?{_DECIMAL} ?'')?", re.ASCII)


def read(text: str) -> Form:
    """The form of an answer.

    Raises:
        UnreadableError: it is empty, its brackets do not match, or it has too many parts.
    """
    if not _braces_match(text):
        raise UnreadableError("a bracket is not closed")
    return _read(tidy(text))


def _braces_match(text: str) -> bool:
    depth = 0
    for token in tokens(text):
        depth += (token == "{") - (token == "}")
        if depth < 0:
            return False
    return depth == 0


def _read(text: str) -> Form:
    text = _stripped(text)
    if form := turned(text, _read):
        return form
    if not balanced(text) and not text.startswith((r"\{\begin", r"\{ \begin")):
        raise UnreadableError("a bracket is not closed")
    if _THOUSANDS.fullmatch(measured(text).text) or as_number(text):
        return _value(text)
    for reader in _READERS:
        if (form := reader(text)) is not None:
            return form
    prose = as_prose(text)
    return Words(prose) if prose else _value(text)


def _stripped(text: str) -> str:
    text = text.strip()
    while text and text[-1] in ".,;" and not text.endswith("\\" + text[-1]):
        text = text[:-1].rstrip()
    if not text:
        raise UnreadableError("nothing is written there")
    return text


def _value(text: str) -> Form:
    if is_word(text):
        return Words(text)
    if match := _MODULUS.fullmatch(text):
        inner = _value(match[1].rstrip("( "))
        modulus = Unit(Fraction(1), ((f"mod {match[2]}", 1),))
        return replace(inner, unit=modulus) if isinstance(inner, Value) else inner
    found = measured(text)
    if not found.text:
        raise UnreadableError("there is no number beside its unit")
    inner = enclosed(found.text)
    if inner and (inner[0], inner[2]) in (("(", ")"), ("[", "]"), ("{", "}")) and found.text != text:
        bare = _value(inner[1])
        return replace(bare, unit=found.unit, percent=found.percent) if isinstance(bare, Value) else bare
    return Value(found.text, as_number(found.text), found.unit, found.percent)


# readers of one kind each: the form, or None where the text is of another kind


def _angle(text: str) -> Form | None:
    """`60^\\circ 30'`: degrees, minutes and seconds."""
    match = _ANGLE.fullmatch(text)
    if not match:
        return None
    value = Fraction(match[2]) + Fraction(match[3]) / 60 + Fraction(match[4] or 0) / 3600
    return Value(text, Number(-value if match[1] else value), Unit(Fraction(1), (("deg", 1),)))


def _compound(text: str) -> Form | None:
    """`5 ft 6 in`, `3 hours and 20 minutes`."""
    found = compound(text)
    return Value(text, Number(found[0]), found[1]) if found else None


def _time(text: str) -> Form | None:
    found = time_of_day(text)
    return Words(found) if found else None


def _conditional(text: str) -> Form | None:
    """An answer with a condition behind it."""
    found = split_condition(text)
    if not found:
        return None
    body, condition, parameters = found
    return Family(_read(body), condition, parameters)


def _labelled(text: str) -> Form | None:
    match = _LABEL.fullmatch(text)
    if not match or changes_value(match[1]) or measured(text).unit:
        return None
    return _read(match[2])


def _titled(text: str) -> Form | None:
    """`radius: 5`, `Solution is: x = 2`, `About 30 miles`: a name in words before a value."""
    if match := _ABOUT.fullmatch(text):
        return _read(match[1])
    match = _TITLE.fullmatch(text)
    if not match or changes_value(match[1]) or len(match[1]) < 3:
        return None
    value = _read(match[2])
    if match[1].casefold().removeprefix("the ").split()[0] in ("solution", "solutions", "answer", "answers"):
        return value
    return Relation((Words(match[1].casefold()), value), ("=",))


def _listing(text: str) -> Form | None:
    """A list by its loosest separator: `or` before `and` before commas; a comma before `or` belongs to it."""
    for joint in _JOINTS:
        parts, _ = split(text, frozenset(joint))
        parts = [part.strip(" ,;") if joint != _JOINTS[2] else part for part in parts]
        if joint == _JOINTS[2]:
            parts = [part for part in parts if part]
        if len(parts) < 2:
            continue
        if not all(parts):
            raise UnreadableError("there is nothing on one side of a separator")
        if joint != _JOINTS[2]:
            parts = [piece for part in parts for piece in _series_before(part, joint[0])]
        if len(parts) > MAX_ITEMS:
            raise UnreadableError(f"more than {MAX_ITEMS} parts")
        return UnorderedList(flat(parts, _read), joint[0])
    return None


def _series_before(part: str, joint: str) -> list[str]:
    """`1, 2` of `1, 2 and 3`."""
    if joint == r"\lor" and len(split(part, frozenset((r"\land",)))[0]) > 1:
        return [part]
    return [piece for piece in split(part, COMMAS)[0] if piece]


def _names(text: str) -> Form | None:
    """`\\text{Alice, Bob}`, `\\text{Alice and Bob}`: names."""
    match = _NAMES.fullmatch(text)
    names = re.split(r",| and ", match[1]) if match else []
    words = [as_words(rf"\text{{{name}}}") for name in names if name.strip()] or [""]
    return UnorderedList(tuple(map(Words, words))) if all(words) else None


def _words(text: str) -> Form | None:
    words = as_words(text)
    if not words:
        return None
    return NamedSet(_PHRASES[words]) if words in _PHRASES else Words(words)


def _members(text: str) -> Form | None:
    match = _MEMBERS.fullmatch(text)
    return _read(match[1]) if match else None


def _relation(text: str) -> Form | None:
    parts, found = split(text, frozenset(_SIGNS))
    if len(parts) < 2:
        return None
    signs = tuple(_SIGNS[sign] for sign in found)
    if not all(parts[1:]):
        raise UnreadableError("a relation without its right side")
    if not parts[0]:
        return _read(parts[1]) if len(parts) == 2 and signs[0] in "=~" else None
    modulus = ""
    if match := _MODULUS.fullmatch(parts[-1]):
        parts[-1], modulus = match[1].rstrip("( "), match[2]
    sides = tuple(map(_read, parts))
    if len(sides) == 2 and isinstance(sides[1], UnorderedList):  # y = \pm x
        return UnorderedList(tuple(Relation((sides[0], side), signs, modulus) for side in sides[1].items))
    return Relation(sides, signs if modulus else tuple(sign.replace(r"\equiv", "=") for sign in signs), modulus)


def _difference(text: str) -> Form | None:
    parts, _ = split(text, frozenset((r"\setminus",)))
    if len(parts) == 1 and text.startswith(r"\mathbb{R}") and text.removeprefix(r"\mathbb{R}").strip().startswith("-"):
        parts = [r"\mathbb{R}", text.removeprefix(r"\mathbb{R}").strip()[1:].strip()]
        if not parts[1].startswith(r"\{"):
            return None
    return Difference(_read(parts[0]), _read(parts[1])) if len(parts) == 2 and all(parts) else None


def _union(text: str) -> Form | None:
    parts, _ = split(text, frozenset((r"\cup",)))
    return Union(tuple(map(_read, parts))) if len(parts) > 1 and all(parts) else None


def _intersection(text: str) -> Form | None:
    parts, _ = split(text, frozenset((r"\cap",)))
    return Intersection(tuple(map(_read, parts))) if len(parts) > 1 and all(parts) else None


def _alternatives(text: str) -> Form | None:
    found = enclosed(text)
    if not _PLUS_MINUS.search(text) or (found and found[0] == r"\{"):  # a set reads its members one by one
        return None
    signs = {"pm": "+-", "mp": "-+"}
    first, second = (_PLUS_MINUS.sub(lambda match, i=i: signs[match[1]][i], text) for i in (0, 1))
    return UnorderedList((_read(first.strip().removeprefix("+")), _read(second)))


def _ratio(text: str) -> Form | None:
    parts, _ = split(text, frozenset((":",)))
    if len(parts) < 2 or not all(parts):
        return None
    if len(parts) == 2 and (number := as_number(rf"\frac{{{parts[0]}}}{{{parts[1]}}}")):
        return Value(text, number)
    items = tuple(map(_read, parts))
    return Ratio(items) if all(isinstance(item, Value) for item in items) else None


def _named(text: str) -> Form | None:
    if text == r"\emptyset":
        return NamedSet("0")
    match = re.fullmatch(r"\\mathbb\{([RZNQC])\}", text)
    return NamedSet(match[1]) if match else None


def _numeral(text: str) -> Form | None:
    return Value(text) if as_numeral(text) else None


_READERS: tuple[Callable[[str], Form | None], ...] = (
    _numeral, _angle, _compound, _time, partial(system, read=_read), _conditional, _labelled, _listing, _titled, _names,
    _words, _members, _relation, _difference, _union, _intersection, _alternatives, partial(bracketed, read=_read),
    partial(matrix, read=_read), _named, _ratio,
)  # fmt: skip
