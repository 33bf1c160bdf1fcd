"""Operations on parsed formulas that check the size of their result first, so that nothing large is ever computed.

sympy evaluates powers, factorials and binomials of numbers as soon as they are written. An answer such as `9^{9^{9}}`
would take the machine's memory before any limit is looked at, so the limits are here.
"""

import sympy
from sympy import Expr, ImmutableMatrix, Integer, MatrixBase, Pow, Rational, Symbol

Operand = Expr | MatrixBase

MAX_BITS = 200_000
"""Size of a number that is computed exactly."""
MAX_EXPONENT = 1_000_000
MAX_ARGUMENT = 20_000
"""Argument of a factorial or binomial coefficient."""
MAX_TERMS = 10_000
MAX_MATRIX = 64
_NO_VALUE = (sympy.nan, sympy.zoo)
_VECTOR = "vec "


class NoValueError(ValueError):
    """An operation without a result, such as a division by zero."""


class TooLargeError(ValueError):
    """A formula whose value no machine computes, such as a tower of powers."""


def finite(value: Operand) -> Operand:
    """The value itself. Raises `NoValueError` for an undefined one."""
    if value.has(*_NO_VALUE):
        raise NoValueError("it has no value")
    return value


def scalar(value: Operand) -> Expr:
    """The value itself. Raises `NoValueError` for a matrix."""
    if not isinstance(value, Expr) or isinstance(value, MatrixBase):
        raise NoValueError("a matrix where a number is needed")
    return value


def add(left: Operand, right: Operand) -> Operand:
    if isinstance(left, Expr) and isinstance(right, Expr):
        return left + right
    if isinstance(left, Expr) or isinstance(right, Expr):
        raise NoValueError("a matrix plus a number")
    if left.shape != right.shape:
        raise NoValueError("matrices of different shapes")
    return left + right


def negate(value: Operand) -> Operand:
    return -value


def multiply(left: Operand, right: Operand) -> Operand:
    if isinstance(left, MatrixBase) and isinstance(right, MatrixBase) and left.cols != right.rows:
        raise NoValueError("matrices of shapes that do not match")
    return left * right


def divide(above: Operand, below: Operand) -> Operand:
    below = scalar(below)
    if below.is_zero:
        raise NoValueError("a division by zero")
    return above / below


def vector_product(left: Operand, sign: str, right: Operand) -> Expr | None:
    r"""`\vec{a} \times \vec{b}` and `\vec{a} \cdot \vec{b}` as symbols; None where one factor is no vector.

    The cross product changes its sign with the order of its factors.
    """
    if not (is_vector(left) and is_vector(right)):
        return None
    names = [str(left), str(right)]
    if sign == r"\cdot":
        return Symbol(f"{' . '.join(sorted(names))}")
    return Symbol(" x ".join(names)) if names == sorted(names) else -Symbol(" x ".join(reversed(names)))


def is_vector(value: Operand) -> bool:
    return isinstance(value, Symbol) and value.name.startswith(_VECTOR)


def power(base: Operand, exponent: Operand) -> Operand:
    """The power, where odd roots of negative numbers are real, as at school.

    Raises:
        TooLargeError: the result has more than `MAX_BITS` bits.
        NoValueError: zero to a negative power, or an exponent that is a matrix.
    """
    exponent = scalar(exponent)
    if isinstance(base, MatrixBase):
        return _matrix_power(base, exponent)
    if base.is_zero and exponent.is_negative:
        raise NoValueError("a division by zero")
    if exponent.is_number:
        size = magnitude(exponent)
        if size > MAX_EXPONENT:
            raise TooLargeError("an exponent above a million")
        if base.is_number and _bits(base) * size > MAX_BITS:
            raise TooLargeError(f"a power of more than {MAX_BITS:,} bits")
    return _real_root(base, exponent) or Pow(base, exponent)


def root(value: Operand, degree: Operand) -> Expr:
    """The root of a degree, real where an odd one of a negative number is taken."""
    degree = scalar(degree)
    if degree.is_zero:
        raise NoValueError("a root of degree zero")
    return scalar(power(scalar(value), 1 / degree))


def _real_root(base: Expr, exponent: Expr) -> Expr | None:
    odd = isinstance(exponent, Rational) and exponent.p == 1 and exponent.q > 1 and exponent.q % 2 == 1
    return -Pow(-base, exponent) if odd and base.is_number and base.is_negative else None


def _matrix_power(base: MatrixBase, exponent: Expr) -> Operand:
    if isinstance(exponent, Symbol) and exponent.name in ("T", r"\top", r"\intercal"):
        return base.T
    if not isinstance(exponent, Integer) or abs(int(exponent)) > 20 or base.rows != base.cols:
        raise NoValueError("a power of a matrix that is not computed")
    if exponent < 0 and base.det() == 0:
        raise NoValueError("a matrix without an inverse")
    return ImmutableMatrix(base ** int(exponent))


def factorial(value: Operand) -> Expr:
    """The factorial. Raises `NoValueError` for a negative number, `TooLargeError` for a large one."""
    value = scalar(value)
    _check_argument(value)
    if value.is_number and not (value.is_integer and value.is_nonnegative):
        raise NoValueError("a factorial of what is no natural number")
    return sympy.factorial(value)


def binomial(above: Operand, below: Operand) -> Expr:
    above, below = scalar(above), scalar(below)
    _check_argument(above)
    _check_argument(below)
    return sympy.binomial(above, below)


def _check_argument(value: Expr) -> None:
    if value.is_number and magnitude(value) > MAX_ARGUMENT:
        raise TooLargeError(f"a factorial above {MAX_ARGUMENT:,}")


def series(kind: type, body: Expr, index: Symbol, start: Expr, end: Expr) -> Expr:
    """A sum or product over an index, not evaluated; infinite, symbolic, or of at most `MAX_TERMS` terms."""
    if not end.is_infinite and magnitude(end - start) > MAX_TERMS:
        raise TooLargeError(f"a sum of more than {MAX_TERMS:,} terms")
    return kind(body, (index, start, end))


def magnitude(number: Expr) -> float:
    """About how large a number is without its sign; 0 for what is no number."""
    if isinstance(number, Integer):
        return float("inf") if int(number).bit_length() > 1000 else float(abs(int(number)))
    if not number.is_number:
        return 0
    try:
        return float(abs(number.evalf(5, maxn=20)))
    except (TypeError, ValueError):
        return 0
    except OverflowError:
        return float("inf")


def _bits(base: Expr) -> float:
    if isinstance(base, Rational):
        return max(int(base.p).bit_length(), int(base.q).bit_length()) if base not in (0, 1, -1) else 0
    return 0
