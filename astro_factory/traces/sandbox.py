"""The Jinja environment of reflection templates and prompts: strict, deterministic, without files, and bounded.

Templates may come from strangers, so rendering is bounded by construction (docs/adr/0020-templates-are-bounded.md):

- only the filters, methods and functions of `template_functions` exist;
- every loop, macro call, block, include and operation on text or containers counts as work, up to `MAX_WORK` per
  rendering, and text in between has a maximum length;
- nothing is evaluated when a template is compiled, and a template's size and nesting are limited (`template_limits`).

A template that exceeds a limit costs less than a second and an error, not a build.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from types import BuiltinMethodType, CodeType, GeneratorType
from typing import Any, TypeVar

from jinja2 import FunctionLoader, StrictUndefined, TemplateError, Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace

from astro_factory.core.problems import Problem
from astro_factory.core.trees import TreeNode
from astro_factory.traces.template_functions import (
    ALLOWED_FILTERS,
    MAX_CHARS,
    MAX_NUMBER,
    PLAIN_ATTRIBUTES,
    LimitExceeded,
    is_allowed_attribute,
)
from astro_factory.traces.template_limits import (
    CONCATENATE,
    COUNTED,
    ENTER,
    LIMITED,
    MAX_FILE_CHARS,
    TemplateTooComplex,
    WorkCounters,
    check_limits,
    nested_too_deeply,
    parse_position,
)

MAX_ROUNDS = 10_000
"""Most rounds of loops plus calls of macros, blocks and includes in one rendering."""
MAX_WORK = 1_000_000
"""Most work in one rendering: expressions evaluated, elements of containers and pieces of text processed."""
_CHARS_PER_WORK = 64
_IN_BETWEEN = 10
"""Text that filters, macros and `set` blocks hold may be this many times as long as a block's."""
_CHEAP = frozenset({int, float, bool, Context, EvalContext})
_CONTAINERS = (list, tuple, dict, set)
_FLAT = (range, type({}.keys()), type({}.values()), type({}.items()))


T = TypeVar("T")


class _Namespace(Namespace):
    """Jinja's `namespace`, without a text of its contents: nested ones would print exponentially."""

    def __repr__(self) -> str:
        return "<Namespace>"


class _CodeGenerator(CodeGenerator):
    """Evaluates no expression at compile time."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible()
        return super()._output_child_to_const(node, frame, finalize)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja over the files of a `TemplateSource`. Call `start` before each rendering."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})
    code_generator_class = _CodeGenerator

    def __init__(self, sources: Mapping[str, str], max_chars: int = MAX_CHARS):
        """`max_chars` limits the text of one block."""
        super().__init__(
            loader=FunctionLoader(lambda name: (sources[name], name, None) if name in sources else None),
            undefined=StrictUndefined,
            finalize=self._finalize,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            optimized=False,
        )
        self.globals = {"range": self._range, "dict": dict, "namespace": _Namespace}
        self.tests = {name: self.bounded(function) for name, function in self.tests.items()}
        self.filters = {name: self.bounded(function) for name, function in ALLOWED_FILTERS.items()} | {
            ENTER: self._enter,
            COUNTED: self.counted,
            LIMITED: self.limited,
            CONCATENATE: self._concatenate,
        }
        self._max_chars = max_chars
        self._max_text = _IN_BETWEEN * max(max_chars, MAX_CHARS)
        self.start()

    def start(self) -> None:
        """Reset the counters."""
        self._rounds = self._work = self._printed = 0

    def _enter(self, work: int, chars: int) -> str:
        """Count a round of a loop, or the call of a macro, block or include, with the size of its body."""
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            raise LimitExceeded(f"the template repeats more than {MAX_ROUNDS:,} times", "look for an endless loop")
        self._printed += chars
        if self._printed > self._max_text:
            raise LimitExceeded.of_text(self._max_text)
        self.add_work(work)
        return ""

    def _concatenate(self, *parts: object) -> str:
        """The operator `~`."""
        return self.limited("".join(map(str, parts)), MAX_CHARS)

    def counted(self, value: T) -> T:
        """An operand of a comparison, or an argument."""
        if isinstance(value, str):
            self.add_work(len(value) // _CHARS_PER_WORK)
        elif isinstance(value, _CONTAINERS):
            self._measure(value)
        elif isinstance(value, _FLAT):
            self.add_work(len(value))
        return value

    def limited(self, value: Any, max_chars: int | None = None) -> Any:
        """A new value, if it is small enough."""
        limit = self._max_text if max_chars is None else max_chars
        if isinstance(value, str):
            if len(value) > limit:
                raise LimitExceeded.of_text(limit)
            self.add_work(len(value) // _CHARS_PER_WORK)
        elif isinstance(value, _CONTAINERS):
            if self._measure(value) > limit:
                raise LimitExceeded.of_text(limit)
        elif isinstance(value, int | float) and abs(value) > MAX_NUMBER:
            raise TemplateError("a number gets too large")
        elif isinstance(value, GeneratorType):
            return self._count_items(value)
        return value

    def bounded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter or test whose arguments and result count as work."""

        @wraps(function)  # also copies the mark by which Jinja passes a context to some filters
        def call(*args: Any, **kwargs: Any) -> Any:
            self._work += 1
            for argument in args:
                kind = type(argument)
                if kind is str:
                    self._work += len(argument) // _CHARS_PER_WORK
                elif kind not in _CHEAP and argument is not self:
                    self.counted(argument)
            result = function(*args, **kwargs)
            if type(result) is str and len(result) < _CHARS_PER_WORK:
                return result
            return self.limited(result)

        return call

    def add_work(self, work: int) -> None:
        self._work += work
        if self._work > MAX_WORK:
            raise LimitExceeded("the template does too much work", "look for loops that repeat too often")

    def _measure(self, container: object) -> int:
        """Elements and characters in a container, with what is nested in it; counts as work."""
        size, pending = 0, [container]
        while pending:
            value = pending.pop()
            if isinstance(value, str):
                size += 1 + len(value)
            elif isinstance(value, dict):
                size += 1
                pending += [*value, *value.values()]
            elif isinstance(value, list | tuple | set):
                size += 1
                pending += value
            else:
                size += 1
            if len(pending) + size > self._max_text:
                raise LimitExceeded.of_text(self._max_text)
        self.add_work(size)
        return size

    def _count_items(self, items: Iterator[T]) -> Iterator[T]:
        for item in items:
            self.add_work(1)
            yield item

    def _finalize(self, value: T) -> T:
        """Checks what an expression prints: only text and numbers, because a whole node or None is a mistake."""
        if isinstance(value, str):
            size = len(value)
            self._printed += size
            if size > self._max_chars or self._printed > self._max_text:
                raise LimitExceeded.of_text(self._max_chars)
            return value
        if isinstance(value, int | float | StrictUndefined):
            return value  # printing an undefined value raises, with a better message
        raise TypeError(f"{type(value).__name__} is neither text nor number; print one of its attributes")

    def _range(self, *bounds: int) -> range:
        numbers = safe_range(*bounds)
        self.add_work(len(numbers))
        return numbers

    # Overrides of Jinja's environment.

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Fast path for what templates read most; a fact takes precedence over a mapping's methods."""
        if isinstance(obj, dict):
            if attribute in obj:
                return obj[attribute]
        elif attribute in PLAIN_ATTRIBUTES and isinstance(obj, TreeNode | Problem):
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        return is_allowed_attribute(obj, attr) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: object) -> None:
        """Jinja would let `str.format` through in a safe form; here it is not allowed."""

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        if isinstance(obj, BuiltinMethodType):
            self.counted(obj.__self__)
        return self.limited(super().call(context, obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Repeating, doubling and squaring are the short ways to exhaust memory."""
        if isinstance(left, Undefined) or isinstance(right, Undefined):
            return super().call_binop(context, operator, left, right)  # raises, with a better message
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "%" and not numbers:
            raise TemplateError("join texts with ~, not with %")
        if operator == "**" or (operator == "*" and not numbers):
            raise TemplateError("* multiplies numbers only, and there is no **")
        return self.limited(super().call_binop(context, operator, left, right), MAX_CHARS)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > MAX_FILE_CHARS:
            raise TemplateTooComplex(f"the file is longer than {MAX_FILE_CHARS:,} characters", 1, name)
        try:
            tree = super()._parse(source, name, filename)
        except RecursionError as error:
            raise nested_too_deeply(parse_position(error), name) from None
        except ValueError as error:  # a literal with more digits than Python converts
            raise TemplateTooComplex("a number is too large", parse_position(error), name) from None
        check_limits(tree, name)
        return tree

    def _generate(self, source: nodes.Template, name: str | None, *args: Any, **kwargs: Any) -> str:
        return super()._generate(WorkCounters().visit(source), name, *args, **kwargs)

    def _compile(self, source: str, filename: str) -> CodeType:
        try:
            return super()._compile(source, filename)
        except (SyntaxError, RecursionError, MemoryError):  # limits of Python's own parser
            raise nested_too_deeply(1, filename) from None
