r"""What kind of thing an answer is: a value, words, a list, a tuple, a set, an interval, a matrix, a relation.

    >>> read(r"x = 3 \text{ or } x = -3")
    Listing(items=(Relation(sides=(...), signs=('=',)), Relation(...)))

Read by structure alone; the expressions inside stay text. Written bare, `1, -2` is a list without order; `(1, -2)` is a
tuple or an open interval, `[1, 2]` a closed interval, `\{1, 2\}` a set.
"""

import re
from typing import NamedTuple

from astro_factory.verifiers.math.latex_normalize import balanced, enclosed, split, tidy
from astro_factory.verifiers.math.numbers_and_units import Measured, Number, as_number, measured

MAX_ITEMS = 64


class Value(NamedTuple):
    """One expression, with what stands around it."""

    text: str
    number: Number | None = None
    unit: str = ""
    percent: bool = False


class Words(NamedTuple):
    """An answer in words, in lower case."""

    text: str


class UnorderedList(NamedTuple):
    """Several answers, in no order. `joined` is the separator: `,` or `\\land`."""

    items: tuple["Form", ...]
    joined: str = ","


class FiniteSet(NamedTuple):
    """A set in braces."""

    items: tuple["Form", ...]


class TupleOrInterval(NamedTuple):
    """Two or more items in brackets: a tuple, or an interval."""

    opening: str
    items: tuple["Form", ...]
    closing: str


class Matrix(NamedTuple):
    rows: tuple[tuple["Form", ...], ...]


class Relation(NamedTuple):
    """Sides with the signs between them: `=`, `~` (about), `<`, `\\le`, `>`, `\\ge`, `\\ne`."""

    sides: tuple["Form", ...]
    signs: tuple[str, ...]


class Union(NamedTuple):
    parts: tuple["Form", ...]


class Difference(NamedTuple):
    whole: "Form"
    without: "Form"


class NamedSet(NamedTuple):
    """A set with a name, such as `R`, or the empty one, `0`."""

    name: str


Form = Value | Words | UnorderedList | FiniteSet | TupleOrInterval | Matrix | Relation | Union | Difference | NamedSet


class UnreadableError(ValueError):
    """Text that is no answer of any kind."""


_SEPARATORS = frozenset((",", ";"))
_SIGNS = {"=": "=", "<": "<", ">": ">", r"\le": r"\le", r"\ge": r"\ge", r"\ne": r"\ne", r"\approx": "~"}
_SETS = re.compile(r"\\mathbb\s*\{?\s*([RZNQC])\s*\}?")
_MATRIX = re.compile(
    r"\\begin\{([bBp]?|small)(?:matrix|array)\}(?:\{[lcr| ]*\})?(.*)\\end\{\1(?:matrix|array)\}", re.DOTALL
)
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_SYSTEM = re.compile(r"\\begin\{(aligned|align|cases|gathered|split)\*?\}(.*)\\end\{\1\*?\}", re.DOTALL)
_RANGE = re.compile(
    r"(.+?)\s*,?\s*(?:\\text\s*\{\s*(?:where|for|with)[^{}]*\})?\s*\(?\b[a-zA-Z]\s*\\in\s*\\mathbb\s*\{?[ZNRQ]\}?"
    r"(?:[_^]\{?[^{}]*\}?)?\)?",
    re.DOTALL,
)
_BUILDER = re.compile(r"([a-zA-Z])\s*(?:\\in\s*\\mathbb\s*\{?R\}?\s*)?(?:\\mid|\||:)(.*)", re.DOTALL)
_TURNED = re.compile(r"([][])(.+)([][])", re.DOTALL)
_MEMBERS = re.compile(r"^(?:[a-zA-Z]|\([a-zA-Z,\s]*\))\s*(?:\\in(?![a-zA-Z])|\bin\b)\s*(.+)$", re.DOTALL)
_PLUS_MINUS = re.compile(r"\\(pm|mp)(?![a-zA-Z])")
_RATIO = re.compile(r"[^:]+(?::[^:]+)+")
_LABELLED = re.compile(r"\\text\s*\{\s*[a-zA-Z][a-zA-Z ]+:?\s*\}\s*([(\[\d].*|\\\{.*)", re.DOTALL)
_NAMES = re.compile(r"\\text\s*\{([^{}]*,[^{}]*)\}")
_PHRASES = {"all real numbers": "R", "all reals": "R", "real numbers": "R", "all integers": "Z", "empty set": "0"}
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_WORD_CHARACTERS = re.compile(r"[^\W\d_][\w .,'\u2019&:/()\"-]*|\(?[A-Za-z]\)?")
_SHORT_WORDS = {"yes", "no", "odd", "even", "true", "false", "all", "none", "one", "two", "six", "ten", "red"}
_LONG_WORD = re.compile(r"[^\W\d_]{4,}|[^\W\d_]{2,}[ '-]+[^\W\d_]{2,}")


def read(text: str) -> Form:
    """The form of an answer.

    Raises:
        UnreadableError: where it is empty, its brackets do not match, or it has too many parts.
    """
    return _read(tidy(text))


def _read(text: str) -> Form:
    text = text.strip().rstrip(".,;").strip() if not text.strip().endswith("\\,") else text.strip()
    if not text:
        raise UnreadableError("nothing is written there")
    if form := _turned(text):
        return form
    if not balanced(text):
        raise UnreadableError("a bracket is not closed")
    if _THOUSANDS.fullmatch(measured(text).text) or as_number(text):
        return _value(text)
    if (match := _RANGE.fullmatch(text)) and match[1].strip(" ,(") and balanced(match[1].rstrip(" ,(")):
        return _read(match[1].rstrip(" ,("))
    if match := _SYSTEM.fullmatch(text):
        return _listing(re.sub(r"\\\\(?:\[[^\]]*\])?", ";", match[2].replace("&", ""))) or _read(
            match[2].replace("&", "")
        )
    if match := _LABELLED.fullmatch(text):
        return _read(match[1])
    if (form := _listing(text)) is not None:
        return form
    if (match := _NAMES.fullmatch(text)) and all(as_words(rf"\text{{{name}}}") for name in match[1].split(",")):
        return UnorderedList(tuple(Words(as_words(rf"\text{{{name}}}")) for name in match[1].split(",")))
    if words := as_words(text):
        return NamedSet(_PHRASES[words]) if words in _PHRASES else Words(words)
    for reader in (_members, _relation, _difference, _union, _alternatives, _bracketed, _matrix, _named):
        if (form := reader(text)) is not None:
            return form
    return _value(text)


def _value(text: str) -> Value:
    found: Measured = measured(text)
    if not found.text:
        raise UnreadableError("there is no number beside its unit")
    inner = enclosed(found.text)
    if inner and (inner[0], inner[2]) in (("(", ")"), ("[", "]"), ("{", "}")) and found != Measured(text):
        return _value(inner[1])._replace(unit=found.unit, percent=found.percent)
    number = as_number(found.text)
    if number is None and _RATIO.fullmatch(found.text):
        above, _, below = found.text.partition(":")
        if ":" not in below and (ratio := as_number(rf"\frac{{{above.strip()}}}{{{below.strip()}}}")):
            number = ratio
    return Value(found.text, number, found.unit, found.percent)


def _listing(text: str) -> Form | None:
    parts, _ = split(text, _SEPARATORS)
    joined = ","
    if len(parts) == 1:
        parts, _ = split(text, frozenset((r"\land",)))
        joined = r"\land"
    parts = [part for part in parts if part]
    if len(parts) < 2:
        return None
    if len(parts) > MAX_ITEMS:
        raise UnreadableError(f"more than {MAX_ITEMS} parts")
    return UnorderedList(_flat(parts), joined)


def _flat(parts: list[str]) -> tuple[Form, ...]:
    """The items; one that stands for two (`\\pm 2`) is two."""
    items: list[Form] = []
    for part in parts:
        form = _read(part)
        items.extend(form.items if isinstance(form, UnorderedList) else [form])
    return tuple(items)


def _members(text: str) -> Form | None:
    match = _MEMBERS.match(text)
    return _read(match[1]) if match else None


def _relation(text: str) -> Form | None:
    parts, found = split(text, frozenset(_SIGNS))
    if len(parts) < 2 or not all(parts[1:]):
        return None
    if not parts[0]:
        return _read(parts[1]) if len(parts) == 2 and _SIGNS[found[0]] in "=~" else None
    sides, signs = tuple(map(_read, parts)), tuple(_SIGNS[sign] for sign in found)
    if len(sides) == 2 and isinstance(sides[1], UnorderedList):  # y = \\pm x
        return UnorderedList(tuple(Relation((sides[0], side), signs) for side in sides[1].items))
    return Relation(sides, signs)


def _difference(text: str) -> Form | None:
    parts, _ = split(text, frozenset((r"\setminus",)))
    if len(parts) == 1 and (match := re.fullmatch(r"(\\mathbb\{?R\}?)\s*-\s*(\\\{.*\\\})", text)):
        parts = [match[1], match[2]]
    return Difference(_read(parts[0]), _read(parts[1])) if len(parts) == 2 and all(parts) else None


def _union(text: str) -> Form | None:
    parts, _ = split(text, frozenset((r"\cup",)))
    return Union(tuple(map(_read, parts))) if len(parts) > 1 and all(parts) else None


def _alternatives(text: str) -> Form | None:
    found = enclosed(text)
    if not _PLUS_MINUS.search(text) or (found and found[0] == r"\{"):  # a set reads its members one by one
        return None
    signs = {"pm": "+-", "mp": "-+"}
    first, second = (_PLUS_MINUS.sub(lambda match, i=i: signs[match[1]][i], text) for i in (0, 1))
    return UnorderedList((_read(first.strip().removeprefix("+")), _read(second)))


def _turned(text: str) -> Form | None:
    """An interval whose open ends are turned brackets: `]0, 1]`."""
    match = _TURNED.fullmatch(text)
    if not match or (match[1], match[3]) == ("[", "]") or re.search(r"[][]", match[2]):
        return None
    parts, _ = split(match[2], _SEPARATORS)
    if len(parts) != 2 or not all(parts):
        return None
    return TupleOrInterval("[" if match[1] == "[" else "(", tuple(map(_read, parts)), "]" if match[3] == "]" else ")")


def _bracketed(text: str) -> Form | None:
    found = enclosed(text)
    if not found:
        return None
    opening, inner, closing = found
    if not inner:
        raise UnreadableError("there is nothing between the brackets")
    if opening == r"\{" and closing == r"\}":
        if match := _BUILDER.fullmatch(inner):
            return _read(match[2])
        return FiniteSet(_flat([part for part in split(inner, _SEPARATORS)[0] if part]))
    if opening in "{" and closing == "}":
        return _read(inner)
    parts, _ = split(inner, _SEPARATORS)
    if len(parts) == 1:
        if opening == "[" and inner.startswith(r"\begin"):
            return _read(inner)
        return _read(inner) if (opening, closing) == ("(", ")") else None
    if not all(parts):
        return None
    if len(parts) > MAX_ITEMS:
        raise UnreadableError(f"more than {MAX_ITEMS} parts")
    if opening == r"\langle":
        opening, closing = "<", ">"
    return TupleOrInterval(opening, tuple(map(_read, parts)), closing)


def _matrix(text: str) -> Form | None:
    factor, begin, rest = text.partition(r"\begin")
    match = _MATRIX.fullmatch(begin + rest)
    if not match or r"\begin" in match[2]:
        return None
    factor = factor.replace(r"\cdot", "").strip()
    rows = [
        row for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\cr(?![a-z])", match[2].replace(r"\hline", "")) if row.strip()
    ]
    if sum(row.count("&") + 1 for row in rows) > MAX_ITEMS or not rows:
        raise UnreadableError("an empty matrix, or one too large")
    cells = [[rf"({factor})\cdot({cell})" if factor else cell for cell in row.split("&")] for row in rows]
    return Matrix(tuple(tuple(map(_read, row)) for row in cells))


def _named(text: str) -> Form | None:
    if text == r"\emptyset":
        return NamedSet("0")
    match = _SETS.fullmatch(text)
    return NamedSet(match[1]) if match else None


def as_words(text: str) -> str:
    r"""An answer in words (`\text{Evelyn}`, `No`) in lower case; empty where it may be a formula."""
    plain = " ".join(_TEXT.sub(r" \1 ", text).replace("\\ ", " ").split())
    if not _WORD_CHARACTERS.fullmatch(plain):
        return ""
    marked = text.lstrip("( ").startswith(r"\text")
    folded = plain.strip(" .,()\"'").casefold()
    if not (marked or _LONG_WORD.search(plain) or folded in _SHORT_WORDS):
        return ""
    if not marked and re.search(r"[/(]|\d", plain):
        return ""
    words = re.sub(r"[\s-]+", " ", re.sub("[.,'\u2019\"()]", "", folded)).strip()
    return re.sub(r"^(?:the|an?) (?=[a-z]{3})", "", words).replace("no solutions", "no solution")
