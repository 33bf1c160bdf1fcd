"""The Jinja that reflection templates are written in: strict, the same in every run, without files, and bounded.

A template can loop and call macros, but goes round at most `MAX_TURNS` times in one saying; what it prints, joins or
multiplies stays small, and what could fill the memory in one call is left out. So a wrong template costs a moment and
an error, not a build.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, TemplateError, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from astro_factory.core.problems import Problem
from astro_factory.core.trees import TreeNode

MAX_CHARS = 20_000
"""Longest text that one block may say, and that a template may hold in between."""
MAX_TURNS = 10_000
"""Most rounds of loops and calls of macros in one saying."""
_MAX_NUMBER = 1e15
_SIZED = (str, list, tuple)

_PLAIN = frozenset(field.name for cls in (TreeNode, Problem) for field in fields(cls))
_GLOBALS = ("range", "dict", "namespace")
_FILLING_FILTERS = ("batch", "center", "format", "indent", "pprint", "slice", "tojson", "urlize", "wordwrap", "xmlattr")
_FILLING_METHODS = frozenset(
    {"center", "expandtabs", "format", "format_map", "join", "ljust", "replace", "rjust", "translate", "zfill"}
)


class LimitExceeded(Exception):
    """A template says or does more than any phrase needs: what, and where to look."""

    def __init__(self, cause: str, remedy: str):
        super().__init__(cause)
        self.remedy = remedy


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja over the texts of a `TemplateSource`."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def __init__(self, sources: Mapping[str, str], max_chars: int = MAX_CHARS):
        """`max_chars` bounds what is printed; what a template holds in between stays below `MAX_CHARS`."""
        super().__init__(
            loader=FunctionLoader(lambda name: (sources[name], name, None) if name in sources else None),
            undefined=StrictUndefined,
            finalize=_printable if max_chars == MAX_CHARS else partial(_printable, most=max_chars),
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.globals = {name: self.globals[name] for name in _GLOBALS}
        for name in ("random", *_FILLING_FILTERS):
            del self.filters[name]
        self.filters["replace"] = _replace
        self.turns = 0

    def getattr(self, obj: Any, attribute: str) -> Any:
        """What templates read most, without the sandbox's questions; a fact goes before a mapping's own methods."""
        if isinstance(obj, dict):
            if attribute in obj:
                return obj[attribute]
        elif attribute in _PLAIN and isinstance(obj, TreeNode | Problem):
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr in _FILLING_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """`str.format` is left out as well, which Jinja would let through."""

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Repeating, doubling and squaring are the short ways to fill the memory."""
        if operator == "%" and isinstance(left, str):
            raise TemplateError("texts are put together with ~, not with %")
        if operator == "**" or (operator == "*" and (isinstance(left, _SIZED) or isinstance(right, _SIZED))):
            raise TemplateError("templates multiply numbers only, and have no powers")
        return _small(super().call_binop(context, operator, left, right))

    def turn(self) -> str:
        """Called at each round of a loop and at the start of each macro."""
        self.turns += 1
        if self.turns > MAX_TURNS:
            raise LimitExceeded(
                f"the template goes round more than {MAX_TURNS} times", "look for a loop without an end"
            )
        return ""

    def joined(self, *parts: Any) -> str:
        """What `~` does."""
        return _small("".join(map(str, parts)))

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(_Bounded().visit(source), *args, **kwargs)


class _Bounded(NodeTransformer):
    """Puts the calls of `turn` and `joined` into a parsed template."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("turn", [], node.lineno), lineno=node.lineno))
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("turn", [], node.lineno), lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Call:
        self.generic_visit(node)
        return _call("joined", node.nodes, node.lineno)


def _call(name: str, arguments: list[nodes.Expr], line: int) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name, lineno=line), arguments, [], None, None, lineno=line)


def _printable(value: Any, most: int = MAX_CHARS) -> Any:
    """Only text and numbers are said: a whole node or None in a sentence is a slip."""
    if isinstance(value, str):
        return _small(value, most)
    if isinstance(value, int | float):
        return value
    if isinstance(value, StrictUndefined):
        return value  # complains by itself, with a better message
    raise TypeError(f"{type(value).__name__} is neither text nor number; print one of its attributes")


def _small(value: Any, most: int = MAX_CHARS) -> Any:
    if isinstance(value, _SIZED) and len(value) > most:
        raise LimitExceeded(f"a block says more than {most} characters", "look for a loop that repeats too often")
    if isinstance(value, int | float) and abs(value) > _MAX_NUMBER:
        raise TemplateError("a number gets too large")
    return value


def _replace(text: str, old: str, new: str) -> str:
    """The filter `replace`, for texts that stay small."""
    old, new = str(old), str(new)
    if str(text).count(old) * len(new) > MAX_CHARS:
        return _small(" " * (MAX_CHARS + 1))
    return str(text).replace(old, new)
