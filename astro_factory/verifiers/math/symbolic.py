r"""Whether two formulas are equal, by value.

Numbers are equal if their difference is zero: exactly for rational ones, else to as many digits as the numbers in them
make necessary, relative to the terms of the difference. Formulas with names in them are equal if they are at a few
points that are in no relation to each other, wherever both are defined. That needs no simplification, so it neither
hangs nor depends on how a formula is written. Runs in the worker processes of the `math` verifier only.
"""

from functools import lru_cache

import sympy
from sympy import Abs, Expr, I, Integer, MatrixBase, Max, Min, Pow, Rational, Symbol, ceiling, floor, log
from sympy.core.evalf import PrecisionExhausted

from astro_factory.verifiers.math.arithmetic import Operand, TooLargeError
from astro_factory.verifiers.math.formula_parser import parse

_MIN_DIGITS, _MAX_DIGITS = 60, 20_000
"""Working precision of a zero test."""
_POINTS = [
    [Rational(73, 31), Rational(127, 29), Rational(19, 53), Rational(211, 67), Rational(37, 101)],
    [Rational(-41, 17), Rational(-23, 59), Rational(83, 43), Rational(-157, 61), Rational(29, 13)],
    [Rational(11, 37), Rational(-97, 47), Rational(-61, 23), Rational(5, 71), Rational(-131, 41)],
    [Rational(-7, 89), Rational(53, 19), Rational(-17, 79), Rational(101, 97), Rational(3, 113)],
]
_MORE_POINTS = [
    [Rational(p * (-1) ** (row * column % 3), q) for column, (p, q) in enumerate(zip(above, below, strict=True))]
    for row, (above, below) in enumerate(
        [
            ([997, 613, 449, 331, 271], [83, 59, 43, 29, 19]),
            ([7919, 5003, 3001, 2003, 1009], [31, 37, 41, 47, 53]),
            ([3, 5, 7, 11, 13], [2, 4, 6, 8, 10]),
            ([4, 9, 25, 49, 121], [1, 1, 1, 1, 1]),
            ([613, 17, 211, 29, 401], [613, 16, 210, 30, 400]),
            ([89, 144, 233, 377, 610], [55, 89, 144, 233, 377]),
        ]
    )
]
"""For formulas with steps or kinks, which agree more easily."""
_WHOLE_NUMBERS: list[list[Rational]] = [
    [Integer(n) for n in row]
    for row in (
        [2, 5, 3, 7, 4],
        [3, 7, 4, 2, 9],
        [5, 2, 8, 11, 3],
        [8, 11, 5, 4, 2],
        [17, 23, 41, 29, 31],
        [42, 30, 25, 18, 20],
    )
]
_STEPPED = (floor, ceiling, Abs, Max, Min)
_LAZY = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit, sympy.Derivative)
_NO_VALUE = (sympy.nan, sympy.zoo)
_CONSTANTS = frozenset("CcKk")


@lru_cache(maxsize=4096)
def formula(text: str) -> Operand | None:
    """The formula in a normalised text, or None if it is none.

    Raises:
        TooLargeError: before anything large is computed.
    """
    try:
        found = parse(text)
        return found.doit() if found.has(*_LAZY) and not _is_endless(found) else found
    except (MemoryError, RecursionError, TooLargeError):
        raise
    except Exception:  # sympy raises whatever it likes on operations without a value
        return None


def _is_endless(found: Operand) -> bool:
    """Whether it holds an infinite series in a name, whose closed form sympy may search for long."""
    return any(series.has(sympy.oo) and series.free_symbols for series in found.atoms(sympy.Sum, sympy.Product))


def expression(text: str) -> Expr | None:
    """The formula in a text where it is no matrix."""
    found = formula(text)
    return None if found is None or isinstance(found, MatrixBase) else found


def equal_operands(first: Operand, second: Operand) -> bool:
    """Whether two formulas or matrices of formulas are equal."""
    if isinstance(first, MatrixBase) and isinstance(second, MatrixBase):
        return first.shape == second.shape and all(map(equal_formulas, first, second))
    if isinstance(first, MatrixBase) or isinstance(second, MatrixBase):
        return False
    return equal_formulas(first, second)


def equal_formulas(first: Expr, second: Expr) -> bool:
    """Whether two formulas have the same value wherever both have one."""
    if first == second:
        return True
    if not first.free_symbols and not second.free_symbols:
        return equal_numbers(first, second)
    second = _renamed(first, second)
    names = sorted(first.free_symbols | second.free_symbols, key=str)
    if not all(name.is_commutative for name in names):
        return sympy.expand(first - second) == 0
    if _equal_at(first, second, names, _POINTS):
        return not (first.has(*_STEPPED) or second.has(*_STEPPED)) or _equal_at(first, second, names, _MORE_POINTS)
    return all(name.name in "kmn" for name in names) and _equal_at(first, second, names, _WHOLE_NUMBERS)


def equal_numbers(first: Expr, second: Expr) -> bool:
    """Whether two constants are equal."""
    if first == second:
        return True
    if isinstance(first, Rational) and isinstance(second, Rational):
        return False
    if first.has(sympy.oo, *_NO_VALUE) or second.has(sympy.oo, *_NO_VALUE):
        return False
    return is_zero(first - second)


def is_zero(difference: Expr) -> bool:
    """Whether a constant is zero, to as many digits as the numbers it is made of make necessary."""
    if isinstance(difference, Rational):
        return difference == 0
    bits = sum(max(abs(int(n.p)), int(n.q)).bit_length() for n in difference.atoms(Rational))
    try:
        value = difference.evalf(10, maxn=min(_MIN_DIGITS + bits, _MAX_DIGITS), strict=True)
    except PrecisionExhausted:
        return True
    return value == 0


def proportional(first: Expr, second: Expr, positive: bool) -> bool:
    """Whether one formula is the other times a constant that is not 0 (and positive, where that is required)."""
    second = _renamed(first, second)
    names = sorted(first.free_symbols | second.free_symbols, key=str)
    if first.free_symbols != second.free_symbols or not names or not all(name.is_commutative for name in names):
        return False
    ratio: Expr | None = None
    for row in _POINTS:
        point = _point(names, row)
        above, below = _value_at(first, point), _value_at(second, point)
        if above is None or below is None or is_zero(above) or is_zero(below):
            return False
        found = above / below
        if ratio is not None and not equal_numbers(ratio, found):
            return False
        ratio = found
    return ratio is not None and (not positive or bool(ratio.evalf(10) > 0))


def same_curve(first: Expr, second: Expr) -> bool:
    """Whether two formulas are zero at the same points: their numerators are proportional."""
    above = [sympy.fraction(sympy.together(side))[0] for side in (first, second)]
    return proportional(above[0], above[1], positive=False)


def _equal_at(first: Expr, second: Expr, names: list[Symbol], points: list[list[Rational]]) -> bool:
    compared = 0
    for row in points:
        point = _point(names, row)
        if _is_outside(first, point) or _is_outside(second, point):
            continue
        ours, theirs = _value_at(first, point), _value_at(second, point)
        if ours is None and theirs is None:
            continue
        if ours is None or theirs is None or not equal_numbers(ours, theirs):
            return False
        compared += 1
    return compared > 0


def _point(names: list[Symbol], row: list[Rational]) -> dict[Symbol, Rational]:
    """A value for each name, no two of them equal."""
    point: dict[Symbol, Rational] = {}
    for at, name in enumerate(names):
        value = row[at % len(row)]  # beyond the row, its values moved by whole numbers
        point[name] = Rational(value.p + at // len(row) * value.q, value.q)
    return point


def _is_outside(formula: Expr, point: dict[Symbol, Rational]) -> bool:
    """Whether a root or logarithm of a negative number is taken: identities of real numbers do not hold there."""
    parts = [p.base for p in formula.atoms(Pow) if isinstance(p.exp, Rational) and not p.exp.is_Integer]
    parts += [part.args[0] for part in formula.atoms(log)]
    if not parts or formula.has(I):
        return False
    values = (_value_at(part, point) for part in parts if part.free_symbols)
    return any(value is not None and value.is_real and value.evalf(10) < 0 for value in values)


def _value_at(formula: Expr, point: dict[Symbol, Rational]) -> Expr | None:
    """The value at a point: exact where it is rational."""
    if any(abs(power.exp) > 500 for power in formula.atoms(Pow) if isinstance(power.exp, Rational)):
        value = formula.evalf(_MIN_DIGITS, subs=point)
    else:
        value = formula.xreplace(point)
    return None if not value.is_number or value.has(sympy.oo, *_NO_VALUE) else value


def _renamed(first: Expr, second: Expr) -> Expr:
    """The second formula with names as in the first where they are two ways of writing one.

    The constant of integration, `y'` and `dy/dx`, and a vector with and without its arrow.
    """
    ours, theirs = first.free_symbols - second.free_symbols, second.free_symbols - first.free_symbols
    if len(ours) == len(theirs) == 1 and _are_constants(first, min(ours, key=str), second, min(theirs, key=str)):
        return second.xreplace({theirs.pop(): ours.pop()})
    if not ours or not theirs:
        return second
    known = {_plain_name(name.name): name for name in ours}
    changes = {name: known[plain] for name in theirs if (plain := _plain_name(name.name)) in known}
    # y' and dy/dx are one name; dy/dx and dy/dt are two
    changes = {name: new for name, new in changes.items() if "|" not in name.name or "|" not in new.name}
    return second.xreplace(changes) if changes else second


def _are_constants(first: Expr, ours: Symbol, second: Expr, theirs: Symbol) -> bool:
    """Whether two names are constants of integration: added to something, or a factor that differs only in its case."""
    if not {ours.name, theirs.name} <= _CONSTANTS or len(first.free_symbols) < 2:
        return False
    slopes = first.diff(ours), second.diff(theirs)
    if all(slope in (1, -1) for slope in slopes):
        return True
    linear = not any(slope.has(ours, theirs) for slope in slopes)
    return linear and ours.name.casefold() == theirs.name.casefold() and first.has(sympy.exp)


def _plain_name(name: str) -> str:
    return name.partition("|")[0].removeprefix("vec ")
