r"""Formulas as sympy reads them, and whether two of them are equal.

Equality is decided by value: two formulas are equal if they agree to 25 digits wherever both are defined, at a few
points that are in no relation to each other. That needs no simplification, so it neither hangs nor depends on how a
formula is written. Runs in the processes of the `math` verifier only.
"""

import re
from functools import lru_cache

import sympy
from sympy import Basic, Expr, Float, I, Integer, MatrixBase, Pow, Rational, Symbol, log
from sympy.core.expr import UnevaluatedExpr
from sympy.functions.combinatorial.factorials import CombinatorialFunction

from astro_factory.verifiers.math.latex_grammar import parse

DIGITS = 30
_AGREE = Float(10) ** -24
_MAX_EXPONENT = 1_000_000
_MAX_BITS = 200_000
_MAX_ARGUMENT = 20_000
_MAX_TERMS = 10_000
_MAX_NODES = 500
_POINTS = [
    [Rational(73, 31), Rational(127, 29), Rational(19, 53), Rational(211, 67), Rational(37, 101)],
    [Rational(-41, 17), Rational(-23, 59), Rational(83, 43), Rational(-157, 61), Rational(29, 13)],
    [Rational(11, 37), Rational(-97, 47), Rational(-61, 23), Rational(5, 71), Rational(-131, 41)],
    [Rational(-7, 89), Rational(53, 19), Rational(-17, 79), Rational(101, 97), Rational(3, 113)],
]
_NATURAL = [[Integer(n) for n in row] for row in ([2, 5, 3, 7, 4], [3, 7, 4, 2, 9], [5, 2, 8, 11, 3], [8, 11, 5, 4, 2])]
_LAZY = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit, sympy.Derivative, UnevaluatedExpr)
_OPERATOR = re.compile(r"\\text\s*\{([^{}]*)\}")
_GAP = re.compile(r"(?<![_\d])\d+\s+\d")
_PRODUCT = re.compile(
    r"((?<![_\d.])\d+(?:\.\d+)?|\))\s*(?=\(|\\(?:frac|binom|gcd|lcm|max|min|operatorname|det)|(?<=\))\d)"
)
_MIXED = re.compile(r"(?<![\d.])(\d{1,9})\s*\\frac\{(\d{1,9})\}\{(\d{1,9})\}")
_NOT_NUMBERS = (sympy.nan, sympy.zoo)


class TooLargeError(ValueError):
    """A formula that no machine evaluates: a tower of powers, a huge factorial."""


@lru_cache(maxsize=4096)
def formula(text: str) -> Expr | None:
    """The formula in a tidy text; None where it is none.

    Raises:
        TooLargeError: before anything is evaluated.
    """
    if _OPERATOR.search(text) or _GAP.search(text):
        return None
    # the grammar takes a product of two numbers without a sign, `2(3)`, to be a mixed number
    text = _PRODUCT.sub(r"\1\\cdot ", _MIXED.sub(_as_sum, text))
    try:
        found = parse(text)
    except (MemoryError, RecursionError):
        raise
    except Exception:  # the grammar raises bare exceptions, and sympy whatever it likes
        return None
    if not isinstance(found, Expr) or isinstance(found, MatrixBase) or found.has(*_NOT_NUMBERS):
        return None
    check_size(found)
    exact = {number: Rational(str(number)) for number in found.atoms(Float)}
    exact |= {symbol: I for symbol in found.free_symbols if symbol.name == "i"}
    exact |= {symbol: sympy.E for symbol in found.free_symbols if symbol.name == "e"}
    exact |= {root: -(Pow(-root.base, root.exp)) for root in found.atoms(Pow) if _real_root(root)}
    found = found.xreplace(exact)
    return found.doit() if found.has(*_LAZY) else found


def _as_sum(mixed: re.Match[str]) -> str:
    r"""`(2+\frac{1}{3})` for `2\frac{1}{3}`; what is no proper fraction is multiplied."""
    return rf"({mixed[1]}+\frac{{{mixed[2]}}}{{{mixed[3]}}})" if int(mixed[2]) < int(mixed[3]) else mixed[0]


def _real_root(root: Pow) -> bool:
    """An odd root of a negative number, which school takes to be real."""
    exponent = root.exp
    odd = exponent.is_Rational and exponent.p == 1 and exponent.q > 1 and exponent.q % 2 == 1
    return bool(odd and root.base.is_negative)


def check_size(expression: Basic) -> None:
    """Raise `TooLargeError` for what would take forever, looking from the leaves up so that nothing large is made."""
    for count, node in enumerate(sympy.postorder_traversal(expression)):
        if count > _MAX_NODES:
            raise TooLargeError(f"more than {_MAX_NODES} parts")
        if isinstance(node, Pow) and node.exp.is_number and _size(node.exp) > _MAX_EXPONENT:
            raise TooLargeError("an exponent above a million")
        if isinstance(node, Pow) and node.exp.is_number and node.base.is_number:
            base = node.base
            if base.is_Integer and int(base).bit_length() * _size(node.exp) > _MAX_BITS:
                raise TooLargeError(f"a power of more than {_MAX_BITS:,} bits")
        if isinstance(node, CombinatorialFunction) and any(_size(argument) > _MAX_ARGUMENT for argument in node.args):
            raise TooLargeError(f"a factorial above {_MAX_ARGUMENT:,}")
        if isinstance(node, sympy.Sum | sympy.Product):
            for limit in node.limits:
                if len(limit) == 3 and _size(limit[2] - limit[1]) > _MAX_TERMS and not limit[2].is_infinite:
                    raise TooLargeError(f"a sum of more than {_MAX_TERMS} terms")


def _size(number: Basic) -> float:
    if not number.is_number:
        return 0
    try:
        return float(abs(number.evalf(5)))
    except (TypeError, ValueError):
        return 0
    except OverflowError:
        return float("inf")


def equal_formulas(first: Expr, second: Expr) -> bool:
    """Whether two formulas have the same value wherever both have one."""
    if first == second:
        return True
    symbols = sorted(first.free_symbols | second.free_symbols, key=str)
    if not symbols:
        return _agree(_number(first, {}), _number(second, {}))
    if first.free_symbols != second.free_symbols and (renamed := _constant_renamed(first, second)):
        second = renamed
        symbols = sorted(first.free_symbols | second.free_symbols, key=str)
    if _agree_at(first, second, symbols, _POINTS):
        return True
    whole = all(symbol.name in "kmn" for symbol in symbols)
    return whole and _agree_at(first, second, symbols, _NATURAL)


def proportional(first: Expr, second: Expr, positive: bool) -> bool:
    """Whether one is the other times a constant that is not 0 (and positive where that is asked)."""
    symbols = sorted(first.free_symbols | second.free_symbols, key=str)
    if first.free_symbols != second.free_symbols:
        return False
    ratio = None
    for values in _POINTS:
        point = dict(zip(symbols, _cycled(values, len(symbols)), strict=True))
        above, below = _number(first, point), _number(second, point)
        if above is None or below is None or not below or not above:
            return not above and not below and above is not None and below is not None
        found = (above / below).evalf(DIGITS)
        if ratio is not None and not _agree(ratio, found):
            return False
        ratio = found
    return ratio is not None and (not positive or bool(ratio > 0))


def _agree_at(first: Expr, second: Expr, symbols: list[Symbol], points: list[list[Rational]]) -> bool:
    compared = 0
    for values in points:
        point = dict(zip(symbols, _cycled(values, len(symbols)), strict=True))
        if _outside(first, point) or _outside(second, point):
            continue
        ours, theirs = _number(first, point), _number(second, point)
        if ours is None and theirs is None:
            continue
        if not _agree(ours, theirs):
            return False
        compared += 1
    return compared > 0


def _cycled(values: list[Rational], count: int) -> list[Rational]:
    """As many values as there are symbols, no two of them equal."""
    return [values[index % len(values)] + index // len(values) for index in range(count)]


def _outside(expression: Expr, point: dict[Symbol, Rational]) -> bool:
    """Whether a root or logarithm of a negative number is taken: identities of real numbers do not hold there."""
    parts = [p.base for p in expression.atoms(Pow) if p.exp.is_Rational and not p.exp.is_Integer]
    parts += [part.args[0] for part in expression.atoms(log)]
    if not parts or expression.has(I):
        return False
    values = (_number(part, point) for part in parts if part.free_symbols)
    return any(value is not None and value.is_real and value < 0 for value in values)


def _number(expression: Expr, point: dict[Symbol, Rational]) -> Expr | None:
    value = expression.evalf(DIGITS, subs=point, maxn=200) if point else expression.evalf(DIGITS, maxn=200)
    if not value.is_number or value.has(sympy.nan, sympy.zoo):
        return None
    return value


def _agree(ours: Expr | None, theirs: Expr | None) -> bool:
    if ours is None or theirs is None:
        return False
    if ours.has(sympy.oo, -sympy.oo) or theirs.has(sympy.oo, -sympy.oo):
        return ours == theirs
    gap = abs((ours - theirs).evalf(DIGITS))
    scale = max(abs(ours.evalf(DIGITS)), abs(theirs.evalf(DIGITS)), Integer(1))
    return bool(gap <= scale * _AGREE)


def _constant_renamed(first: Expr, second: Expr) -> Expr | None:
    """The second formula with its constant of integration called as in the first."""
    ours, theirs = first.free_symbols - second.free_symbols, second.free_symbols - first.free_symbols
    if len(ours) == len(theirs) == 1 and {*ours, *theirs} <= {Symbol(name) for name in "CcKk"}:
        return second.xreplace({theirs.pop(): ours.pop()})
    return None
