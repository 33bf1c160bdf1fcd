r"""The LaTeX commands of formulas: fractions, roots, functions, sums, integrals, matrices, and names such as `\vec{a}`.

Each reader takes the parser, which stands behind the command, and returns the command's value.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import sympy
from sympy import Expr, I, ImmutableMatrix, Integer, MatrixBase, Symbol

from astro_factory.verifiers.math import arithmetic
from astro_factory.verifiers.math.arithmetic import NoValueError, Operand, finite, scalar
from astro_factory.verifiers.math.latex_normalize import LETTERS

if TYPE_CHECKING:
    from astro_factory.verifiers.math.formula_parser import FormulaParser

_FUNCTIONS: dict[str, Callable[..., Expr]] = {
    "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan, "cot": sympy.cot, "sec": sympy.sec, "csc": sympy.csc,
    "arcsin": sympy.asin, "arccos": sympy.acos, "arctan": sympy.atan, "arccot": sympy.acot, "arcsec": sympy.asec,
    "arccsc": sympy.acsc, "sinh": sympy.sinh, "cosh": sympy.cosh, "tanh": sympy.tanh, "ln": sympy.log,
    "log": sympy.log, "lg": sympy.log, "exp": sympy.exp, "Re": sympy.re, "Im": sympy.im,
}  # fmt: skip
_INVERSES: dict[str, Callable[..., Expr]] = {
    "sin": sympy.asin, "cos": sympy.acos, "tan": sympy.atan, "cot": sympy.acot, "sec": sympy.asec, "csc": sympy.acsc,
    "sinh": sympy.asinh, "cosh": sympy.acosh, "tanh": sympy.atanh,
}  # fmt: skip
_ANGLES = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))
_OPAQUE = frozenset(
    ("overline", "triangle", "angle", "mathcal", "mathbb", "widehat", "tilde", "dot", "ddot", "bar", "odot", "text")
)
"""Marks on a name, which is spelled out as a symbol."""
_DERIVATIVE = re.compile(
    r"(?P<kind>\\partial|d)(?:\^\{?(?P<order>\d)\}?)?(?P<of>(?!\^)[^/]{0,20}?)"
    r"/(?P=kind)(?P<by>[A-Za-z]|\\[a-z]{2,8})(?:\^\{?(?P<again>\d)\}?)?"
)
_MATRICES = frozenset(("pmatrix", "bmatrix", "Bmatrix", "vmatrix", "matrix", "smallmatrix", "array"))
_DEGREE = Symbol("°")


def read(parser: "FormulaParser", command: str) -> Operand | None:
    """The value of a command, which is behind the parser; None for an unknown one."""
    if command in _READERS:
        return _READERS[command](parser)
    if command in _FUNCTIONS:
        return _function(parser, command)
    return _opaque(parser, command) if command in _OPAQUE else None


def _fraction(parser: "FormulaParser") -> Operand:
    mark = parser.mark()
    above, below = parser.raw_group(), parser.raw_group()
    match = _DERIVATIVE.fullmatch(f"{above}/{below}") if len(above) + len(below) < 60 else None
    if match and match["order"] == match["again"]:
        return _derivative(parser, match)
    parser.reset(mark)
    above, below = parser.group(), parser.group()
    return arithmetic.divide(above, below)


def _derivative(parser: "FormulaParser", match: re.Match[str]) -> Operand:
    r"""`\frac{dy}{dx}` as a symbol, `\frac{d}{dx} x^2` as what it is."""
    order = int(match["order"] or 1)
    if match["of"]:
        return Symbol(f"{match['of']}{chr(39) * order}|{match['kind']}{match['by']}")
    operand = parser.term()
    return sympy.diff(operand, Symbol(match["by"]), order)


def _root(parser: "FormulaParser") -> Expr:
    degree: Operand = parser.group() if parser.peek() == "[" else Integer(2)
    return arithmetic.root(parser.exponent(), degree)


def _binomial(parser: "FormulaParser") -> Expr:
    above, below = parser.group(), parser.group()
    return arithmetic.binomial(above, below)


def _vector(parser: "FormulaParser") -> Symbol:
    name = parser.raw_group() if parser.peek() == "{" else parser.next()
    return Symbol(f"vec {name}{parser.index()}{parser.primes()}")


def _opaque(parser: "FormulaParser", command: str) -> Symbol:
    r"""`\overline{AB}`, `\triangle ABC`: the command and the letters behind it, as a name."""
    name = parser.raw_group() if parser.peek() == "{" else ""
    while not name or (command in ("triangle", "angle") and name.isalpha() and parser.peek().isupper()):
        if not (parser.peek().isalpha() or parser.peek() in LETTERS):
            raise NoValueError(f"nothing behind '{command}'")
        name += parser.next()
    if command == "text" and not re.fullmatch(r"[A-Za-z]+", name):
        raise NoValueError("words in a formula")
    return Symbol(f"{command}({name}){parser.index()}{parser.primes()}")


def _function(parser: "FormulaParser", name: str) -> Expr:
    """A function with an optional power and base, and its argument in brackets or without."""
    function, base, exponent = _FUNCTIONS[name], None, None
    while parser.peek() in ("^", "_"):
        if parser.next() == "_":
            base = scalar(parser.exponent())
        else:
            exponent = scalar(parser.exponent())
    if exponent == -1 and name in _INVERSES:
        function, exponent = _INVERSES[name], None
    argument = _argument(parser)
    if name in _ANGLES:
        argument = argument.xreplace({_DEGREE: sympy.pi / 180})
    if base is not None and name != "log":
        raise NoValueError("a function with an index")
    if name == "exp":
        value = scalar(arithmetic.power(sympy.E, argument))
    elif base is not None or name == "lg":
        value = function(argument, Integer(10) if base is None else base)
    else:
        value = function(argument)
    value = scalar(finite(value))
    return value if exponent is None else scalar(arithmetic.power(value, exponent))


def _argument(parser: "FormulaParser") -> Expr:
    r"""`(x)` exactly, or the factors that follow: `2x`, `x/2`; a sign, another function or `\cdot` ends it."""
    if parser.peek() in ("(", "[", "|"):
        argument = parser.atom()
    else:
        negative = parser.take("-")
        argument = parser.postfixed()
        while _goes_on(parser.peek()):
            if parser.take("/"):
                argument = arithmetic.divide(argument, parser.postfixed())
            else:
                argument = arithmetic.multiply(argument, parser.postfixed())
        argument = arithmetic.negate(argument) if negative else argument
    return scalar(finite(argument))


def _goes_on(token: str) -> bool:
    return token in ("/", r"\frac", r"\sqrt", r"\pi") or token.isalpha() or token in LETTERS


def _extreme(kind: Callable[..., Expr]) -> Callable[["FormulaParser"], Expr]:
    def read_list(parser: "FormulaParser") -> Expr:
        closing = {"(": ")", r"\{": r"\}"}.get(parser.next())
        if closing is None:
            raise NoValueError("a list is missing")
        return kind(*parser.arguments(closing))

    return read_list


def _common(name: str, kind: Callable[..., Expr]) -> Callable[..., Expr]:
    """`gcd` and `lcm`, of whole numbers as their value and of others as a name."""

    def of(*items: Expr) -> Expr:
        if all(isinstance(item, Integer) for item in items):
            return kind(items)
        return Symbol(f"{name}({','.join(sorted(map(str, items)))})")

    return of


def _cis(parser: "FormulaParser") -> Expr:
    angle = _argument(parser).xreplace({_DEGREE: sympy.pi / 180})
    return sympy.cos(angle) + I * sympy.sin(angle)


def _determinant(parser: "FormulaParser") -> Expr:
    inside = parser.atom()
    if not isinstance(inside, MatrixBase):
        raise NoValueError("a determinant of what is no matrix")
    return inside.det()


def _matrix(parser: "FormulaParser") -> Operand:
    kind = parser.raw_group()
    if kind not in _MATRICES:
        raise NoValueError(f"'{kind}' in a formula")
    if kind == "array":
        parser.raw_group()
    rows: list[list[Expr]] = [[]]
    while not parser.take(r"\end"):
        if parser.take(r"\\"):
            rows.append([])
            continue
        rows[-1].append(scalar(parser.expression()))
        if not parser.take("&") and parser.peek() not in (r"\\", r"\end"):
            raise NoValueError(f"unexpected '{parser.peek()}' in a matrix")
    rows = [row for row in rows if row]
    if parser.raw_group() != kind or len({len(row) for row in rows}) != 1:
        raise NoValueError("a matrix with rows of different lengths")
    if sum(map(len, rows)) > arithmetic.MAX_MATRIX:
        raise arithmetic.TooLargeError(f"a matrix of more than {arithmetic.MAX_MATRIX} entries")
    matrix = ImmutableMatrix(rows)
    return matrix.det() if kind == "vmatrix" else matrix


def _series(kind: type) -> Callable[["FormulaParser"], Expr]:
    def read_series(parser: "FormulaParser") -> Expr:
        parser.expect("_")
        parser.expect("{")
        index = parser.atom()
        parser.expect("=")
        start = scalar(parser.expression())
        parser.expect("}")
        parser.expect("^")
        end = scalar(parser.exponent())
        body = parser.term()
        if index == I:  # `i` counts here
            index = Symbol("index i")
            body = body.xreplace({I: index})
        if not isinstance(index, Symbol):
            raise NoValueError("an index that is no name")
        return arithmetic.series(kind, body, index, start, end)

    return read_series


def _integral(parser: "FormulaParser") -> Expr:
    limits: list[Expr] = []
    if parser.take("_"):
        limits.append(scalar(parser.exponent()))
        parser.expect("^")
        limits.append(scalar(parser.exponent()))
    body = parser.until("d")
    variable = Symbol(parser.next())
    inner = type(parser)(body)
    integrand = scalar(inner.expression()) if body else Integer(1)
    if inner.peek():
        raise NoValueError(f"unexpected '{inner.peek()}' in an integral")
    return sympy.Integral(integrand, (variable, *limits) if limits else variable)


def _limit(parser: "FormulaParser") -> Expr:
    parser.expect("_")
    parser.expect("{")
    variable = parser.atom()
    parser.expect(r"\to")
    if not isinstance(variable, Symbol):
        raise NoValueError("a limit without its variable")
    target = scalar(parser.expression())
    side = "+-"
    if parser.take("^"):
        side = parser.next()
    parser.expect("}")
    return sympy.Limit(parser.term(), variable, target, side if side in ("+", "-") else "+-")


_READERS: dict[str, Callable[["FormulaParser"], Operand]] = {
    "frac": _fraction,
    "sqrt": _root,
    "binom": _binomial,
    "vec": _vector,
    "begin": _matrix,
    "det": _determinant,
    "cis": _cis,
    "sum": _series(sympy.Sum),
    "prod": _series(sympy.Product),
    "int": _integral,
    "lim": _limit,
    "max": _extreme(sympy.Max),
    "min": _extreme(sympy.Min),
    "gcd": _extreme(_common("gcd", sympy.gcd)),
    "lcm": _extreme(_common("lcm", sympy.lcm)),
}
