r"""Forms in brackets and environments: tuples, intervals, sets, matrices, systems of lines.

`read` is the reader of whole answers, for what is inside.
"""

import re
from collections.abc import Callable

from astro_factory.verifiers.math.answer_types import (
    Family,
    FiniteSet,
    Form,
    Matrix,
    NamedSet,
    TupleOrInterval,
    UnorderedList,
    UnreadableError,
)
from astro_factory.verifiers.math.conditions import condition_of
from astro_factory.verifiers.math.latex_normalize import enclosed, split

MAX_ITEMS = 64
COMMAS = frozenset((",", ";"))
Read = Callable[[str], Form]

_ENVIRONMENT = re.compile(r"(?:\\\{ ?)?\\begin\{([a-zA-Z]+)\}(.*)\\end\{\1\}(?: ?\\\})?", re.DOTALL)
_SYSTEMS = frozenset(("aligned", "align", "cases", "gathered", "split", "alignedat"))
_MATRICES = frozenset(("pmatrix", "bmatrix", "Bmatrix", "matrix", "smallmatrix", "array"))
_COLUMNS = re.compile(r" ?\{[lcr| ]*\}")
_ROW_END = re.compile(r"\\\\(?:\[[^\[\]]{0,20}\])?|\\cr(?![a-z])")
_BUILDER = re.compile(r"(?:[a-zA-Z]|\([a-zA-Z, ]{1,20}\)) ?(?:\\in ?\\mathbb\{[RC]\} ?)?(?:\||:)(.*)", re.DOTALL)


def turned(text: str, read: Read) -> Form | None:
    """An interval whose open ends are turned brackets: `]0, 1]`."""
    if len(text) < 3 or text[0] not in "[]" or text[-1] not in "[]" or (text[0], text[-1]) == ("[", "]"):
        return None
    inside = text[1:-1]
    if "[" in inside or "]" in inside:
        return None
    parts, _ = split(inside, COMMAS)
    if len(parts) != 2 or not all(parts):
        return None
    return TupleOrInterval("[" if text[0] == "[" else "(", tuple(map(read, parts)), "]" if text[-1] == "]" else ")")


def bracketed(text: str, read: Read) -> Form | None:
    found = enclosed(text)
    if not found:
        return None
    opening, inner, closing = found
    if opening in (r"\lfloor", r"\lceil", r"\begin"):
        return None
    if not inner:
        if opening == r"\{":
            return NamedSet("0")
        raise UnreadableError("there is nothing between the brackets")
    if opening == r"\{" and closing == r"\}":
        return _set(inner, read)
    if opening == "{" and closing == "}":
        return None if r"\choose" in inner or r"\over" in inner else read(inner)
    parts, _ = split(inner, COMMAS)
    if len(parts) == 1:
        if opening == "[" and inner.startswith((r"\begin", "[")):
            form = read(inner)
            return _rows((form,)) or form
        return read(inner) if (opening, closing) == ("(", ")") else None
    if not all(parts):
        raise UnreadableError("there is nothing between two commas")
    if len(parts) > MAX_ITEMS:
        raise UnreadableError(f"more than {MAX_ITEMS} parts")
    if opening == r"\langle":
        opening, closing = "<", ">"
    items = tuple(map(read, parts))
    return (_rows(items) if opening == "[" else None) or TupleOrInterval(opening, items, closing)


def _set(inner: str, read: Read) -> Form:
    if match := _BUILDER.fullmatch(inner):
        return read(match[1])
    parts, _ = split(inner.replace(r"\ldots", r"\ldots "), frozenset((":",)))
    if inner.count("|") == 1:
        parts = inner.split("|")
    if len(parts) == 2 and all(part.strip() for part in parts):
        condition, parameters = condition_of(parts[1])
        return Family(read(parts[0]), condition, parameters)
    return FiniteSet(flat([part for part in split(inner, COMMAS)[0] if part], read))


def _rows(items: tuple[Form, ...]) -> Matrix | None:
    """`[[1, 0], [0, 1]]` as a matrix."""
    groups = [item for item in items if isinstance(item, TupleOrInterval)]
    rows = [group.items for group in groups if (group.opening, group.closing) == ("[", "]")]
    return Matrix(tuple(rows)) if len(rows) == len(items) and len({len(row) for row in rows}) == 1 else None


def matrix(text: str, read: Read) -> Form | None:
    factor, begin, rest = text.partition(r"\begin")
    match = _ENVIRONMENT.fullmatch(begin + rest)
    if not match or match[1] not in _MATRICES or r"\begin" in match[2]:
        return None
    factor = factor.replace(r"\cdot", "").replace(r"\times", "").strip()
    inside = _COLUMNS.sub("", match[2], count=1) if match[1] == "array" else match[2]
    rows = [row for row in _ROW_END.split(inside.replace(r"\hline", "")) if row.strip()]
    if sum(row.count("&") + 1 for row in rows) > MAX_ITEMS or not rows:
        raise UnreadableError("an empty matrix, or one too large")
    cells = [[rf"({factor})\cdot({cell})" if factor else cell for cell in row.split("&")] for row in rows]
    return Matrix(tuple(tuple(map(read, row)) for row in cells))


def system(text: str, read: Read) -> Form | None:
    """Lines of `aligned` or `cases`, each an answer; a cell behind `&` is the condition of the first."""
    match = _ENVIRONMENT.fullmatch(text)
    if not match:
        return None
    kind, inside = match[1], match[2]
    is_cases = kind == "cases" or (kind == "array" and text.startswith(r"\{") and not text.endswith(r"\}"))
    if kind not in _SYSTEMS and not is_cases:
        return None
    if kind == "array":
        inside = _COLUMNS.sub("", inside, count=1)
    rows = [row.strip(" ,;") for row in _ROW_END.split(inside)]
    items = [read(_line(row, is_cases)) for row in rows if row.strip(" &")]
    if not items or len(items) > MAX_ITEMS:
        raise UnreadableError("no lines, or too many")
    return items[0] if len(items) == 1 else UnorderedList(tuple(items))


def _line(row: str, is_cases: bool) -> str:
    first, _, rest = row.partition("&")
    rest = rest.replace("&", " ").strip()
    if not is_cases or not rest or not first.strip() or rest[0] in "=<>" or rest.startswith((r"\le", r"\ge")):
        return f"{first} {rest}"
    return first + (rest if rest.startswith(r"\text") else rf"\text{{ if }} {rest}")


def flat(parts: list[str], read: Read) -> tuple[Form, ...]:
    """The items; one that stands for two (`\\pm 2`) is two."""
    items: list[Form] = []
    for part in parts:
        form = read(part)
        items.extend(form.items if isinstance(form, UnorderedList) and form.joined == "," else [form])
    return tuple(items)
