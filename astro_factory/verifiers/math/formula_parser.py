r"""Reads one LaTeX formula into a sympy expression, or refuses it. No token is ever skipped.

    >>> parse(r"\frac{1}{2}x^{2}+E_{1}")
    E_1 + x**2/2

A Pratt parser (top-down operator precedence). Multiplication without a sign binds more tightly than `/`, so `1/2x` is
`1/(2x)`; a power binds more tightly than a sign, so `-x^2` is `-(x^2)`. What has no numeric meaning (`f(2)`, `y'`,
`\frac{dy}{dx}`, `\overline{AB}`) becomes a symbol whose name spells it out. Runs in the worker processes of the `math`
verifier only.
"""

import re

import sympy
from sympy import Expr, I, Integer, MatrixBase, Rational, Symbol

from astro_factory.verifiers.math import arithmetic, formula_commands
from astro_factory.verifiers.math.arithmetic import Operand, finite, scalar
from astro_factory.verifiers.math.latex_normalize import LETTERS, tokens

MAX_DEPTH = 40
MAX_DIGITS = 1000
DEGREE = Symbol("°")
_SUM, _PRODUCT, _SIGN, _IMPLICIT, _POSTFIX = 10, 20, 25, 30, 50
_MULTIPLY = frozenset((r"\cdot", r"\times", "*"))
_DIVIDE = frozenset(("/", r"\div"))
_NO_FACTOR = frozenset(
    (",", ";", ":", "=", "<", ">", "_", "&", r"\\", r"\ldots", r"\choose", r"\over", r"\to", r"\end")
)
_CLOSING = {"(": ")", "[": "]", "{": "}", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}
_END = frozenset(_CLOSING.values())
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+", re.ASCII)
_FUNCTION_NAMES = frozenset("fghFGHPQuU")
"""Letters that are functions wherever a bracket follows; others are where the bracket holds one number or name."""
_CONSTANTS: dict[str, Expr] = {"e": sympy.E, "i": I, r"\pi": sympy.pi, r"\infty": sympy.oo}


class FormulaError(ValueError):
    """Text that is no formula."""


def parse(text: str) -> Operand:
    """The expression or matrix that a normalised text stands for.

    Raises:
        FormulaError: it is no formula.
        NoValueError: it divides by zero, or asks for another operation without a result.
        TooLargeError: its value is too large to compute.
    """
    parser = FormulaParser(tokens(text))
    found = parser.expression()
    if parser.peek():
        raise FormulaError(f"unexpected '{parser.peek()}'")
    return finite(found)


class FormulaParser:
    """One pass over the tokens, from left to right."""

    def __init__(self, found: list[str]):
        self._tokens = [token for token in found if token.strip()]
        self._position = 0
        self._depth = 0
        self._bars = 0
        transposes = ("".join(self._tokens[at : at + 5]) for at in range(len(self._tokens)))
        # the order of factors counts for matrices
        self._matrices = any(re.match(r"[A-Z]\^(?:\{(?:T|\\top)\}|T|\\top)", text) for text in transposes)

    # tokens

    def peek(self, ahead: int = 0) -> str:
        at = self._position + ahead
        return self._tokens[at] if 0 <= at < len(self._tokens) else ""

    def next(self) -> str:
        token = self.peek()
        if not token:
            raise FormulaError("it ends too early")
        self._position += 1
        return token

    def take(self, token: str) -> bool:
        """Whether this token is next, which is then behind us."""
        if self.peek() != token:
            return False
        self._position += 1
        return True

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise FormulaError(f"'{token}' is missing")

    def raw_group(self) -> str:
        """The text between two braces, without spaces."""
        self.expect("{")
        start, depth = self._position, 1
        while depth:
            token = self.next()
            depth += (token == "{") - (token == "}")
        return "".join(self._tokens[start : self._position - 1])

    def until(self, token: str) -> list[str]:
        """The tokens up to the last one of this kind, which is then behind us."""
        rest = self._tokens[self._position :]
        if token not in rest:
            raise FormulaError(f"'{token}' is missing")
        at = len(rest) - 1 - rest[::-1].index(token)
        self._position += at + 1
        return rest[:at]

    def mark(self) -> int:
        return self._position

    def reset(self, mark: int) -> None:
        self._position = mark

    # operators

    def expression(self, minimum: int = 1) -> Operand:
        """The longest expression from here whose operators bind at least as tightly as `minimum`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FormulaError("it nests too deeply")
        left = self._prefix(_PRODUCT if minimum <= _PRODUCT else _SIGN)
        while (rank := self._rank()) >= minimum:
            left = self._infix(left, rank)
        self._depth -= 1
        return left

    def term(self) -> Expr:
        """One term of a sum."""
        return scalar(self.expression(_PRODUCT))

    def _rank(self) -> int:
        token = self.peek()
        if not token or token in _END or token in _NO_FACTOR:
            return 0
        if token == "|":
            return 0 if self._bars else _IMPLICIT
        if token in ("+", "-"):
            return _SUM
        if token in _MULTIPLY or token in _DIVIDE:
            return _PRODUCT
        if token in ("^", "!", "'", r"\%"):
            return _POSTFIX
        if _NUMBER.fullmatch(token) and self.peek(-1) not in _END and self.peek(-1) != "!":
            raise FormulaError("a number behind a name or a number")
        return _IMPLICIT

    def _infix(self, left: Operand, rank: int) -> Operand:
        if rank == _IMPLICIT:
            if isinstance(left, Rational) and _NUMBER.fullmatch(self.peek()) and self.peek(-1) != "!":
                raise FormulaError("two numbers side by side")
            return arithmetic.multiply(left, self.expression(_IMPLICIT + 1))
        token = self.next()
        if token == "!":
            return arithmetic.factorial(left)
        if token == r"\%":
            return arithmetic.multiply(left, Rational(1, 100))
        if token == "'":
            raise FormulaError("a prime behind what is no name")
        if token == "^":
            return arithmetic.multiply(left, DEGREE) if self._degree_sign() else arithmetic.power(left, self.exponent())
        right = self.expression(rank + 1)
        if token in _DIVIDE:
            return arithmetic.divide(left, right)
        if token in _MULTIPLY:
            return arithmetic.vector_product(left, token, right) or arithmetic.multiply(left, right)
        return arithmetic.add(left, right if token == "+" else arithmetic.negate(right))

    def _degree_sign(self) -> bool:
        found = self.peek() == "{" and self.peek(1) == r"\circ" and self.peek(2) == "}"
        self._position += 3 if found else 0
        return found

    def _prefix(self, rank: int) -> Operand:
        """An operand with its signs, which apply to what binds at least as tightly as `rank`."""
        if self.take("+"):
            return self.expression(rank)
        return arithmetic.negate(self.expression(rank)) if self.take("-") else self.atom()

    def postfixed(self) -> Operand:
        """An atom with its powers and factorials."""
        left = self.atom()
        while self.peek() in ("^", "!"):
            left = self._infix(left, _POSTFIX)
        return left

    # operands

    def exponent(self) -> Operand:
        """What stands behind `^` or `_`: a group in braces, or one atom."""
        return self.group() if self.peek() == "{" else self.atom()

    def atom(self) -> Operand:
        token = self.peek()
        if token in ("(", "[", "{"):
            return self.group()
        self.next()
        if _NUMBER.fullmatch(token):
            return self._number(token)
        if token in _CONSTANTS and self.peek() not in ("_", "'"):
            return _CONSTANTS[token]
        if token == "|":
            return self._absolute()
        if token in (r"\lfloor", r"\lceil"):
            inside = scalar(self._enclosed())
            self.expect(_CLOSING[token])
            return sympy.floor(inside) if token == r"\lfloor" else sympy.ceiling(inside)
        if token in LETTERS or (len(token) == 1 and token.isalpha()):
            return self._named(token)
        if token.startswith("\\") and (found := formula_commands.read(self, token[1:])) is not None:
            return found
        raise FormulaError(f"unexpected '{token}'")

    def group(self) -> Operand:
        """An expression in brackets, whose closing one has to be of the same kind."""
        opening = self.next()
        if opening not in ("(", "[", "{"):
            raise FormulaError("a bracket is missing")
        inside = self._enclosed()
        if opening == "{" and self.take(r"\choose"):
            inside = arithmetic.binomial(inside, self._enclosed())
        if opening == "{" and self.take(r"\over"):
            inside = arithmetic.divide(inside, self._enclosed())
        self.expect(_CLOSING[opening])
        return inside

    def arguments(self, closing: str) -> list[Expr]:
        """Expressions between commas, up to a closing bracket."""
        found = [scalar(self._enclosed())]
        while self.take(","):
            found.append(scalar(self._enclosed()))
        self.expect(closing)
        return found

    def _enclosed(self) -> Operand:
        """An expression between brackets: bars inside of them close no bar outside."""
        bars, self._bars = self._bars, 0
        inside = self.expression()
        self._bars = bars
        return inside

    def _absolute(self) -> Expr:
        self._bars += 1
        inside = self.expression()
        self._bars -= 1
        self.expect("|")
        return inside.det() if isinstance(inside, MatrixBase) else sympy.Abs(inside)

    def _number(self, token: str) -> Expr:
        if len(token) > MAX_DIGITS:
            raise FormulaError("a number of too many digits")
        value = Rational(token)
        if self.peek() == "_":
            raise FormulaError("a number with an index")
        return self._mixed(value) if self.peek() == r"\frac" and "." not in token else value

    def _mixed(self, whole: Rational) -> Expr:
        r"""`2\frac{1}{3}` is a sum where the fraction is a proper one of two whole numbers, else a product."""
        mark = self.mark()
        self.next()
        try:
            above, below = self.group(), self.group()
        except ValueError:
            above = below = whole
        if isinstance(above, Integer) and isinstance(below, Integer) and 0 < above < below and self.peek() != "^":
            return whole + above / below
        self.reset(mark)
        return whole

    def _named(self, token: str) -> Expr:
        """A name with its index and primes, as a symbol; a call of it with its arguments as one symbol."""
        if token == r"\Delta" and self.peek().isalpha():
            token += f" {self.next()}"  # a difference of two values has one name
        name = token + self.index() + self.primes()
        if self.peek() == "(" and (call := self._call(name)):
            return Symbol(call)
        if self._matrices and len(name) == 1 and name.isupper() and name != "T":
            return Symbol(name, commutative=False)
        return Symbol(name)

    def index(self) -> str:
        """The index behind a name, spelled one way: `_max` for `_{\\text{max}}`."""
        if not self.take("_"):
            return ""
        inside = self.raw_group() if self.peek() == "{" else self.next()
        return "_" + re.sub(r"\\text|[\\{}]", "", inside)

    def primes(self) -> str:
        mark = self._position
        while self.take("'"):
            pass
        return "'" * (self._position - mark)

    def _call(self, name: str) -> str | None:
        """`name(arguments)` spelled out where the bracket holds arguments; None where it is a factor."""
        mark = self.mark()
        self.next()
        try:
            arguments = self.arguments(")")
        except ValueError:
            if name[0] in _FUNCTION_NAMES:
                raise
            arguments = []
        first = arguments[0] if arguments else None
        single = isinstance(first, Symbol | sympy.Number) and first != Symbol(name)
        if len(arguments) > 1 or single or (arguments and (name[0] in _FUNCTION_NAMES or "'" in name)):
            return f"{name}({','.join(map(str, arguments))})"
        self.reset(mark)
        return None
