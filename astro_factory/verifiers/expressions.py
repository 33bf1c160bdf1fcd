"""Exact arithmetic on text: whole numbers, + - * / and brackets, evaluated with fractions and never with `eval`.

>>> evaluate("( 10 + 3 ) / 2")
Value(value=Fraction(13, 2), numbers=(10, 3, 2))
"""

import re
from fractions import Fraction
from typing import NamedTuple

MAX_CHARS = 400
MAX_DIGITS = 9

_TOKEN = re.compile(r"\s*([0-9]+|[-+*/()])")
_RANK = {"+": 1, "-": 1, "*": 2, "/": 2}


class ExpressionError(ValueError):
    """Text that is not an expression, or one without a value; the message says why."""


class Value(NamedTuple):
    """What an expression is worth and which numbers stand in it, in reading order."""

    value: Fraction
    numbers: tuple[int, ...]


def evaluate(text: str) -> Value:
    """The exact value of an expression.

    Raises:
        ExpressionError: if the text cannot be read, is longer than `MAX_CHARS`, or divides by zero.
    """
    numbers: list[int] = []
    values: list[int | Fraction] = []
    operators: list[str] = []
    after_value = False
    for token in _tokens(text):
        if after_value == (token == "(" or token.isdigit()):
            raise ExpressionError(f"unexpected '{token}'")
        if token == "(":
            operators.append(token)
        elif token == ")":
            _reduce(values, operators, 0)
            if not operators:
                raise ExpressionError("unexpected ')'")
            operators.pop()
        elif token in _RANK:
            _reduce(values, operators, _RANK[token])
            operators.append(token)
            after_value = False
        else:
            numbers.append(int(token))
            values.append(numbers[-1])
            after_value = True
    if not after_value:
        raise ExpressionError("the expression ends too early")
    _reduce(values, operators, 0)
    if operators:
        raise ExpressionError("a bracket is not closed")
    return Value(Fraction(values[0]), tuple(numbers))


def _tokens(text: str) -> list[str]:
    text = text.strip()
    if len(text) > MAX_CHARS:
        raise ExpressionError(f"longer than {MAX_CHARS} characters")
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(f"unexpected '{text[position : position + 10].strip()}'")
        if len(match[1]) > MAX_DIGITS:
            raise ExpressionError(f"a number of more than {MAX_DIGITS} digits")
        tokens.append(match[1])
        position = match.end()
    return tokens


def _reduce(values: list[int | Fraction], operators: list[str], rank: int) -> None:
    """Apply the waiting operators that bind at least as tightly as `rank`, back to the last open bracket."""
    while operators and operators[-1] != "(" and _RANK[operators[-1]] >= rank:
        operator, right, left = operators.pop(), values.pop(), values.pop()
        if operator == "/":
            if right == 0:
                raise ExpressionError("division by zero")
            values.append(Fraction(left) / right)
        else:
            values.append(left + right if operator == "+" else left - right if operator == "-" else left * right)
