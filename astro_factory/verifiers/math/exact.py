r"""The exact value of arithmetic in LaTeX or plain text, without sympy: fast enough for every step of a search.

    >>> evaluate(r"\frac{3}{4} \cdot 2^{3}")
    Value(number=Fraction(6, 1), operations=2, decimals=0, unit='')

Sizes are checked before anything is computed. A text that could mean two things has no value: `6/2(3)`, `6/1/2`,
`2\frac{1}{3}`.
"""

import re
from fractions import Fraction
from math import comb, factorial, isqrt
from typing import NamedTuple

MAX_CHARS = 300
MAX_DEPTH = 20
MAX_BITS = 2000
_MAX_DIGITS = 30
_MAX_EXPONENT = 100
_MAX_ARGUMENT = 200

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])|\d+(?:\.\d+)?|\.\d+"
_TOKEN = re.compile(
    rf"\s*(?:({_NUMBER})|(\\[a-zA-Z]+|\\[%$]|[-+*/^(){{}}\[\]!%$€£\u00d7\u00f7\u00b7\u2212\u2013]))", re.ASCII
)
_UNIT = re.compile(r"\s*(\\(?:text|mathrm|textrm|rm|mbox)\s*\{[^{}]*\}(?:\^\{?\d\}?)?|\^\{?\\circ\}?)\s*\Z")
_SPACES = re.compile(r"(?<!\\)\\[,;:! ]|~|\\(?:left|right|big|Big|displaystyle)(?![a-zA-Z])")
_NAMES = {
    r"\cdot": "*", r"\times": "*", "\u00d7": "*", "\u00b7": "*", r"\div": "/", "\u00f7": "/",
    "\u2212": "-", "\u2013": "-",
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\dbinom": r"\binom", r"\tbinom": r"\binom",
    r"\%": "%", r"\$": "$", "[": "(", "]": ")",
}  # fmt: skip
_MONEY = frozenset("$€£")


class Value(NamedTuple):
    """What an expression is worth."""

    number: Fraction
    operations: int
    """Operations in it; 0 for a number, a fraction of two numbers and their negatives."""
    decimals: int = 0
    """Places behind the point, where it is a plain number."""
    unit: str = ""
    """A unit in LaTeX, or `money`."""


class _Unreadable(Exception):
    pass


def evaluate(text: str, in_formula: bool = True) -> Value | None:
    """The value, or None for what is no arithmetic, has no value, or is too large."""
    if len(text) > MAX_CHARS or not any(char.isdigit() for char in text):
        return None
    unit = ""
    if in_formula and (found := _UNIT.search(text)):
        text, unit = text[: found.start()], found[1]
    try:
        reader = _Reader(_tokens(text), in_formula)
        number = reader.sum()
        if reader.peek():
            return None
    except (_Unreadable, ZeroDivisionError):
        return None
    unit = unit or ("money" if reader.money else "")
    plain = reader.operations == 0 and "." in text
    return Value(number, reader.operations, len(text.rpartition(".")[2].rstrip(" %\\})")) if plain else 0, unit)


def without_spacing(text: str) -> str:
    """A formula without commands for spacing and sizes; thousands are separated by plain commas."""
    return _SPACES.sub(" ", text.replace("{,}", ",").replace(r",\!", ","))


def _tokens(text: str) -> list[str]:
    text = without_spacing(text).rstrip()
    tokens, position = [], 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _Unreadable
        if found[1] and len(found[1]) > _MAX_DIGITS:
            raise _Unreadable
        token = found[1] or found[2]
        tokens.append(token.replace(",", "") if found[1] else _NAMES.get(token, token))
        position = found.end()
    return tokens


class _Reader:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, tokens: list[str], in_formula: bool):
        self._tokens, self._in_formula = tokens, in_formula
        self._position = self._depth = 0
        self.operations = 0
        self.money = False

    def peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def take(self, *choices: str) -> str:
        token = self.peek()
        if token not in choices or not token:
            return ""
        self._position += 1
        return token

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise _Unreadable

    def sum(self) -> Fraction:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _Unreadable
        sign = self.take("-")
        value = self.product()
        value = -value if sign == "-" else value
        while sign := self.take("+", "-"):
            self.operations += 1
            right = self.product()
            value = value + right if sign == "+" else value - right
        self._depth -= 1
        return _bounded(value)

    def product(self) -> Fraction:
        value, divided = self.factor(), False
        while True:
            if sign := self.take("*", "/"):
                if divided and sign == "/":
                    raise _Unreadable  # `3 / 1/4`
                divided = divided or sign == "/"
                right = self.factor(signed=True)
                if sign == "/" and right == 0:
                    raise _Unreadable
                self.operations += 1
                value = _bounded(value * right if sign == "*" else value / right)
            elif self.peek() == "(" or self.peek() in (r"\frac", r"\sqrt", r"\binom"):
                before = self._tokens[self._position - 1]
                if divided or (self.peek() != "(" and before[-1:].isdigit()):
                    raise _Unreadable  # a mixed number, or a product under a slash
                self.operations += 1
                value = _bounded(value * self.factor())
            else:
                return value

    def factor(self, signed: bool = False) -> Fraction:
        if signed and self.take("-"):
            return -self.factor()
        value = self.atom()
        while mark := self.take("^", "!", "%"):
            if mark == "%":
                value = value / 100
                continue
            self.operations += 1
            value = self.power(value) if mark == "^" else _factorial(value)
        return value

    def power(self, base: Fraction) -> Fraction:
        if len(self.peek()) > 1 and self._in_formula:
            raise _Unreadable  # LaTeX raises the first digit only
        exponent = self.group() if self.peek() == "{" else self.atom()
        if exponent.denominator != 1 or abs(exponent) > _MAX_EXPONENT or (base == 0 and exponent <= 0):
            raise _Unreadable
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if size * abs(exponent.numerator) > MAX_BITS:
            raise _Unreadable
        return base ** int(exponent)

    def atom(self) -> Fraction:
        if self.take(*_MONEY):
            self.money = True
        token = self.peek()
        if not token:
            raise _Unreadable
        if token == "{" or token == "(":
            return self.group()
        self._position += 1
        if token[0].isdigit() or token[0] == ".":
            if self.peek()[:1].isdigit() or self.peek() == "{":
                raise _Unreadable
            return Fraction(token)
        if token == r"\frac":
            return self.fraction()
        if token == r"\sqrt":
            return self.root()
        if token == r"\binom":
            self.operations += 1
            above, below = self.group(), self.group()
            if not all(n.denominator == 1 and 0 <= n <= _MAX_ARGUMENT for n in (above, below)):
                raise _Unreadable
            return Fraction(comb(int(above), int(below)))
        raise _Unreadable

    def group(self) -> Fraction:
        opening = self.take("(", "{")
        if not opening:
            token = self.peek()  # `\frac12`
            if not token.isdigit():
                raise _Unreadable
            self._tokens[self._position] = token[1:]
            if not token[1:]:
                self._position += 1
            return Fraction(token[0])
        value = self.sum()
        self.expect(")" if opening == "(" else "}")
        return value

    def fraction(self) -> Fraction:
        before = self.operations
        above, below = self.group(), self.group()
        # a fraction of two whole numbers is a number, unless it can be cancelled to one
        if self.operations == before and below not in (0, 1) and (above / below).denominator == 1:
            self.operations += 1
        return above / below

    def root(self) -> Fraction:
        self.operations += 1
        if self.peek() == "(":
            raise _Unreadable  # a degree in square brackets, or an argument in round ones
        value = self.group()
        above, below = isqrt(max(0, value.numerator)), isqrt(value.denominator)
        if value < 0 or above * above != value.numerator or below * below != value.denominator:
            raise _Unreadable
        return Fraction(above, below)


def _factorial(value: Fraction) -> Fraction:
    if value.denominator != 1 or not 0 <= value <= _MAX_ARGUMENT:
        raise _Unreadable
    return Fraction(factorial(int(value)))


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise _Unreadable
    return value
