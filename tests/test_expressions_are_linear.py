"""Every regular expression of the package takes time linear in its text, or its text is bounded.

Each is tried on texts made of its own parts (`hostile_text`), with the methods that its module calls.
"""

import ast
import importlib
import importlib.util
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import astro_factory
from astro_factory.core.step_format import StepFormat
from astro_factory.hub import notices
from astro_factory.spec import checking, compose
from astro_factory.stages import worked_solutions
from astro_factory.traces import response_steps
from astro_factory.verifiers import countdown
from astro_factory.verifiers.domains import kinship
from tests.hostile_text import hostile_to, is_superlinear, repeated

BOUNDED = {
    "astro_factory.verifiers.math.exact": (300, "evaluate reads no longer text"),
    "astro_factory.verifiers.math.claims": (4000, "claims reads only the beginning of a step"),
    "astro_factory.verifiers.math.extraction": (0, "reads whole responses"),
    "astro_factory.verifiers.math": (2000, "the pool of verifiers refuses longer answers"),
    "astro_factory.verifiers.expressions": (400, "evaluate refuses longer expressions"),
    "astro_factory.traces.gist": (2000, "gist reads only the beginning of a step"),
    "astro_factory.traces.rewording_checks": (2000, "the checker refuses rewordings much longer than a step"),
    "astro_factory.core.nvidia": (2000, "reads what the driver and an installed package say"),
}
"""Modules whose expressions are tried on no more characters than this, where that is more than 0, and why."""
ELSEWHERE = {
    ("astro_factory.core.step_format", "_marker_pattern"): "in `BUILT`",
    ("astro_factory.traces.backtrack_markers", "_compile"): "in `BUILT`",
    ("astro_factory.traces.template_errors", "diagnostic_at"): "a word with no repetition",
}
"""Functions that make their expressions when they run."""
CI, NIGHTLY = 2000, 16_000
HANG_S = 20
ATOMS = (
    " ", "\n", "a", "A", "1", "\\", "{", "}", "(", ")", "[", "]", "$", ",", ".", "'", "-", "=", "_", "^", "|",
    "answer ",
    "answer is ", "\\boxed{", "\\text{", "\\frac{", "1,", "1 ", "a ", "A. ", "{a}", "(a)", "1.1", "ab ", "\\in ",
    "a\n", "1\n",
    "answer\n", "<answer>", "####", " 1/2", "\\text{a}", "a_{1}", "1^{2}", "USD ", "Rs.", "no ", "integer ", "a,",
    "a ,", "1:1",
)  # fmt: skip
ARGUMENTS = {"compile": 1, "match": 2, "search": 2, "fullmatch": 2, "findall": 2, "finditer": 2, "split": 3, "sub": 4}
"""Functions of `re`, with the place of their flags."""


class Expression(NamedTuple):
    name: str
    pattern: re.Pattern[str]
    methods: frozenset[str]

    def run(self, text: str) -> None:
        for method in self.methods:
            if method in ("match", "fullmatch", "search"):
                getattr(self.pattern, method)(text)
            else:
                for _ in self.pattern.finditer(text):
                    pass


@cache
def modules() -> list[str]:
    """The modules that use `re`."""
    found = pkgutil.walk_packages(astro_factory.__path__, "astro_factory.")
    names = [module.name for module in found if not module.ispkg]
    return [name for name in names if re.search(r"\bre\.[a-z]+\(", source_of(name))]


def source_of(name: str) -> str:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    with open(spec.origin, encoding="utf-8") as file:
        return file.read()


def expressions(name: str) -> Iterator[Expression]:
    """The expressions of a module: those that it names, and those in calls."""
    module, tree = importlib.import_module(name), ast.parse(source_of(name))
    named = {key: value for key, value in vars(module).items() if isinstance(value, re.Pattern)}
    for key, value in named.items():
        if isinstance(value.pattern, str):
            yield Expression(f"{name}.{key}", value, methods_of(key, tree))
    for function, call in calls(tree):
        method = call.func.attr  # type: ignore[union-attr]
        try:
            text, flags = (evaluated(node, module) for node in arguments(call, method))
        except NameError:
            assert (name, function) in ELSEWHERE, f"{name}.{function} makes an expression that no test knows"
            continue
        pattern = re.compile(text, flags)
        if method != "compile":
            yield Expression(f"{name}.{function} {text}", pattern, frozenset({method}))
        else:
            known = pattern in named.values() or (name, function) in ELSEWHERE
            assert known, f"{name}.{function} compiles an expression that has no name"


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """The calls of `re` with the function that they stand in."""

    def visit(node: ast.AST, function: str) -> Iterator[tuple[str, ast.Call]]:
        if isinstance(node, ast.FunctionDef):
            function = node.name
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).startswith("re.")
            and ast.unparse(node.func)[3:] in ARGUMENTS
        ):
            yield function, node
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    return visit(tree, "")


def arguments(call: ast.Call, method: str) -> tuple[ast.expr, ast.expr]:
    """Text and flags."""
    place = ARGUMENTS[method]
    flags = next((keyword.value for keyword in call.keywords if keyword.arg == "flags"), None)
    if flags is None:
        flags = call.args[place] if len(call.args) > place else ast.Constant(0)
    return call.args[0], ast.copy_location(flags, call)


def evaluated(node: ast.expr, module: Any) -> Any:
    return eval(compile(ast.Expression(ast.fix_missing_locations(node)), "expression", "eval"), vars(module))


def methods_of(key: str, tree: ast.Module) -> frozenset[str]:
    """The methods that a module calls on its expression; all of them where it is passed on."""
    called = {id(node.value): node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    uses = [
        called.get(id(node), "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == key and isinstance(node.ctx, ast.Load)
    ]
    return frozenset(uses) if uses and all(uses) else frozenset(("fullmatch", "finditer"))


def bound_of(name: str) -> int:
    """Most characters that the expressions of a module are tried on, or 0."""
    return next((bound for prefix, (bound, _) in BOUNDED.items() if name.startswith(prefix)), 0)


def step_markers() -> list[re.Pattern[str]]:
    formats = [
        StepFormat(format="heading"),
        StepFormat(format="numbered"),
        StepFormat(format="numbered", pattern="a {n} b:"),
    ]
    return [found._marker_pattern for found in formats]


BUILT: dict[str, Callable[[], list[re.Pattern[str]]]] = {"step markers": step_markers}
"""Expressions that a function makes."""


def check(found: Expression, size: int, bound: int, more: bool) -> None:
    makers = list(hostile_to(found.pattern))
    if more:
        makers += [repeated(atom, ending=ending) for atom in ATOMS for ending in ("", "!", "}", "\n", "x", "\\", "\0")]
    for make in makers:
        if not bound:
            assert not is_superlinear(found.run, make, size), f"{found.name} on {make(60)!r}"
        else:
            begun = time.process_time()
            found.run(make(bound if more else 40))
            assert time.process_time() - begun < HANG_S, f"{found.name} on {make(60)!r}"


@pytest.mark.parametrize("name", modules())
def test_expressions_take_linear_time(name):
    for found in expressions(name):
        check(found, CI, bound_of(name), more=False)


def found_by(expression: str, flags: int = 0) -> Callable[[str], object]:
    """Ends and groups of all that a plain expression finds in a text."""
    return lambda text: [(found.end(), *found.groups()) for found in re.finditer(expression, text, flags)]


def found_in(pattern: re.Pattern[str]) -> Callable[[str], object]:
    return lambda text: [(found.end(), *found.groups()) for found in pattern.finditer(text)]


def first_by(expression: str, flags: int = 0, group: int = 0) -> Callable[[str], object]:
    return lambda text: (found := re.search(expression, text, flags)) and found[group]


PLAIN = {
    "countdown steps": (
        "1+= left\n\t\x0b",
        found_in(countdown._STATED),
        found_by(r"^\s*([0-9]{1,9}) *([-+*/]) *([0-9]{1,9}) *= *([0-9]{1,9}) +left((?: +[0-9]{1,9})+)", re.M),
    ),
    "couples": (
        "Ann ismaredto.Ty",
        found_in(kinship._COUPLE),
        found_by(r"(\w+) is married to (\w+)\.(?: They have (?:a child|children) called ([^.]+)\.)?"),
    ),
    "answers": (
        "so,the finalanswer\n*",
        lambda text: (found := response_steps._ANSWER.match(text)) and found[0],
        first_by(r"\A\W*(?:so|thus|therefore|hence)?\W*(?:the|our)?\s*(?:final )?answer\b", re.I),
    ),
    "quotes": (
        'a"\u201c\u201d\n',
        lambda text: (found := response_steps._QUOTE.match(text)) and found[1],
        first_by(r'["\u201c](.+)["\u201d]', re.DOTALL, group=1),
    ),
    "references": (
        "$}{a ",
        lambda text: [found[0] for found in compose._REFERENCE.finditer(text) if found[2]],
        lambda text: re.findall(r"\$\{[^}]*\}", text),
    ),
    "quoted numbers": (
        "1.e+-\n a",
        lambda text: checking._NUMBER.fullmatch(text) is not None,
        lambda text: re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", text) is not None,
    ),
    "solutions": (
        "#a\n\t ",
        lambda text: lines(worked_solutions._STATED.sub("", text)),
        lambda text: lines(re.sub(r"^\s*####.*$", "", text, flags=re.M)),
    ),
    "notices": (
        "ab\n",
        lambda text: notices._BLOCK.sub(lambda block: "" if block["end"] else block[0], marked(text)),
        lambda text: re.sub(rf"{notices._START}\n.*?{notices._END}\n\n?", "", marked(text), flags=re.DOTALL),
    ),
}
"""Letters of texts, what an expression finds in them, and what the plain expression finds, which is not linear."""


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def marked(text: str) -> str:
    return text.replace("a", notices._START).replace("b", notices._END)


@pytest.mark.parametrize("name", PLAIN)
def test_linear_expressions_find_what_plain_ones_find(name):
    letters, found, plain = PLAIN[name]
    pieces = ("1 + 1 = 2 left 2 2", "Ann is married to Tom.", " They have a child called ", "the final answer", "####")

    @given(st.lists(st.sampled_from((*letters, *pieces)), max_size=12).map("".join))
    def check(text):
        assert found(text) == plain(text)

    check()


@pytest.mark.parametrize("name", BUILT)
def test_expressions_that_functions_make_take_linear_time(name):
    for pattern in BUILT[name]():
        check(Expression(name, pattern, frozenset(("match", "finditer"))), CI, 0, more=True)


@pytest.mark.nightly
@pytest.mark.parametrize("name", modules())
def test_expressions_take_linear_time_on_long_texts(name):
    for found in expressions(name):
        check(found, NIGHTLY, bound_of(name), more=True)
