"""What templates may call: the allowed filters, methods and attributes, each with a bounded result."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError
from jinja2.environment import TemplateModule
from jinja2.filters import FILTERS, do_round, make_attrgetter
from jinja2.runtime import BlockReference, LoopContext, Macro, TemplateReference
from jinja2.utils import Namespace, pass_environment

from astro_factory.core.problems import Problem
from astro_factory.core.trees import TreeNode
from astro_factory.traces.gist import gist

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_CHARS = 20_000
"""Longest text of one block, and of one concatenation."""
MAX_NUMBER = 1e15
_MAX_DIGITS = 15

PLAIN_ATTRIBUTES = frozenset(field.name for cls in (TreeNode, Problem) for field in fields(cls))
_JINJA_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "filesizeformat", "first", "float",
    "forceescape", "groupby", "int", "items", "last", "length", "list", "lower", "map", "max", "min", "reject",
    "rejectattr", "reverse", "safe", "select", "selectattr", "sort", "string", "striptags", "title", "trim",
    "truncate", "unique", "upper", "urlencode", "wordcount",
)  # fmt: skip
_TEXT_METHODS = (
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal",
    "isdigit", "isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper", "lower",
    "lstrip", "partition", "removeprefix", "removesuffix", "rfind", "rindex", "rpartition", "rsplit", "rstrip",
    "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper",
)  # fmt: skip
_LIST_METHODS = frozenset({"count", "index", "grouper", "list"})  # the last two: results of `groupby`
_DICT_METHODS = frozenset({"get", "items", "keys", "values"})
_JINJA_TYPES = (BlockReference, LoopContext, Macro, Namespace, TemplateModule, TemplateReference)


class LimitExceeded(Exception):
    """A template prints or does more than any phrase needs: what, and where to look."""

    def __init__(self, cause: str, remedy: str):
        super().__init__(cause)
        self.remedy = remedy

    @classmethod
    def of_text(cls, max_chars: int) -> "LimitExceeded":
        return cls(f"a block produces more than {max_chars:,} characters", "look for a loop that repeats too often")


def is_allowed_attribute(obj: object, name: str) -> bool:
    """Whether a template may read an attribute or call a method; Jinja's own rules apply as well."""
    if isinstance(obj, str):
        return name in _TEXT_METHODS
    if isinstance(obj, dict):
        return name in _DICT_METHODS
    if isinstance(obj, list | tuple):
        return name in _LIST_METHODS
    if isinstance(obj, TreeNode | Problem):
        return name in PLAIN_ATTRIBUTES
    return isinstance(obj, _JINJA_TYPES)


@pass_environment
def _join(
    environment: "Environment", values: Iterable[object], separator: object = "", attribute: str | int | None = None
) -> str:
    """The filter `join`, which stops when the text gets too long."""
    separator, texts, size = str(separator), [], 0
    for value in values if attribute is None else map(make_attrgetter(environment, attribute), values):
        texts.append(str(value))
        size += len(texts[-1]) + len(separator)
        if size > MAX_CHARS + len(separator):
            raise LimitExceeded.of_text(MAX_CHARS)
    return separator.join(texts)


def _replace(text: object, old: object, new: object, count: int = -1) -> str:
    """The filter `replace`, for results that stay small."""
    text, old, new = str(text), str(old), str(new)
    if text.count(old) * len(new) > MAX_CHARS:
        raise LimitExceeded.of_text(MAX_CHARS)
    return text.replace(old, new, count)


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    """The filter `round`, for as many digits as a float has."""
    if abs(precision) > _MAX_DIGITS:
        raise TemplateError(f"round takes at most {_MAX_DIGITS} digits")
    return do_round(value, precision, method)


@pass_environment
def _sum(
    environment: "Environment", values: Iterable[object], attribute: str | int | None = None, start: float = 0
) -> float:
    """The filter `sum`, for numbers only."""
    total = start
    for value in values if attribute is None else map(make_attrgetter(environment, attribute), values):
        total = total + value if isinstance(value, int | float) else None
        if not isinstance(total, int | float):
            raise TemplateError("sum adds numbers only")
    return total


ALLOWED_FILTERS: dict[str, Callable[..., Any]] = {name: FILTERS[name] for name in _JINJA_FILTERS} | {
    "gist": gist,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "sum": _sum,
}
