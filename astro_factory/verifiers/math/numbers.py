r"""Numbers that are compared exactly, read without a parser: whole, decimal, mixed, repeating, named, in a base.

>>> as_number("1,234.50"), as_number(r"-\frac{1}{2}")
(Number(value=Fraction(2469, 2), decimals=2), Number(value=Fraction(-1, 2), decimals=None))
"""

import re
from fractions import Fraction
from typing import NamedTuple

ROUNDED_DIGITS = 6
"""A decimal of so many places and significant digits also stands for an exact value that it is rounded or cut from."""
_MAX_EXPONENT = 300

_SPACES = re.compile(r"\\[!,;: ]|~|\s")
_LIST = re.compile(r",\s")
_GAP = re.compile(r"\d\s+[\d.]")
_SPACED = re.compile(r"[-+]?\d{1,3}(?:\s\d{3})+(?:\.\d+)?", re.ASCII)
_INTEGER = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_DECIMAL = re.compile(rf"([-+]?)({_INTEGER})?(\.\d+)?\.?", re.ASCII)
_SCIENTIFIC = re.compile(
    r"([-+]?\d+(?:\.\d+)?)(?:[eE]([-+]?\d{1,4})|(?:\\times|\\cdot|\*)10\^\{?([-+]?\d{1,4})\}?)", re.ASCII
)
_RATIO = re.compile(
    rf"([-+]?)(?:\\[dtc]?frac\{{([-+]?)({_INTEGER})\}}\{{({_INTEGER})\}}|\(?({_INTEGER})\)?/\(?({_INTEGER})\)?)",
    re.ASCII,
)
_MIXED = re.compile(
    r"([-+]?)(\d+)(?:\s(\d+)/(\d+)|\s?\\[dtc]?frac ?\{(\d+)\} ?\{(\d+)\}|\s?\\[dtc]?frac(\d)(\d))", re.ASCII
)
_REPEATING = re.compile(r"([-+]?)(\d*)\.(\d*)\\(?:overline|bar|dot)\{?(\d+)\}?", re.ASCII)
_GOING_ON = re.compile(r"([-+]?)(\d*)\.(\d{3,60})\\ldots", re.ASCII)
_BASE = re.compile(
    r"(?:\\text\{)?([-+]?)\(?([0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)\)?\}?_\{?\(?(?:\\text\{)?(\d{1,2}|[a-z]{3,7})\}?\)?\}?",
    re.ASCII,
)
_BASES = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "sixteen": 16,
}
_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()


class Number(NamedTuple):
    """An exact value. `decimals` counts the places behind the point, None where it cannot be a rounded value."""

    value: Fraction
    decimals: int | None = None

    def equals(self, other: "Number") -> bool:
        """Equal, or one of them a long decimal that the other is rounded or cut to."""
        if self.value == other.value:
            return True
        if self.decimals is not None and other.decimals is not None:
            shorter, longer = sorted((self, other), key=lambda number: number.decimals or 0)
            return shorter.rounds(longer.value)
        return self.rounds(other.value) or other.rounds(self.value)

    def rounds(self, value: Fraction) -> bool:
        """Whether this decimal is an exact value, rounded or cut off at a place, with enough significant digits."""
        if self.decimals is None or self.decimals < ROUNDED_DIGITS:
            return False
        unit = Fraction(10) ** -self.decimals
        return abs(self.value) >= unit * 10 ** (ROUNDED_DIGITS - 1) and abs(self.value - value) < unit

    def scaled(self, factor: Fraction) -> "Number":
        return Number(self.value * factor, None if self.decimals is None else self.decimals + 2)


def as_number(answer: str) -> Number | None:
    """The value of a whole number, decimal, fraction, mixed or repeating number, in plain text or LaTeX, else None."""
    stripped = answer.strip()
    if (match := _MIXED.fullmatch(stripped)) and (number := _mixed(match)):
        return number
    if _LIST.search(answer) or (_GAP.search(answer) and not _SPACED.fullmatch(stripped)):
        return None
    text = _SPACES.sub("", answer).replace("{,}", ",")
    match = _DECIMAL.fullmatch(text)
    if match and (match[2] or match[3]):
        digits = (match[2] or "0").replace(",", "") + (match[3] or "")
        return Number(Fraction(match[1] + digits), len(match[3]) - 1 if match[3] else None)
    if match := _RATIO.fullmatch(text):
        above, below = (int(part.replace(",", "")) for part in (match[3] or match[5], match[4] or match[6]))
        sign = -1 if (match[1] == "-") != (match[2] == "-") else 1
        return Number(Fraction(sign * above, below)) if below else None
    if match := _SCIENTIFIC.fullmatch(text):
        return _scientific(match[1], int(match[2] or match[3]))
    if match := _REPEATING.fullmatch(text):
        return Number(_repeating(*match.groups()))
    match = _GOING_ON.fullmatch(text)
    return _going_on(match) if match else None


def _mixed(match: re.Match[str]) -> Number | None:
    whole = int(match[2])
    above, below = (int(part) for part in match.groups()[2:] if part)
    if not 0 < above < below:
        return None
    value = whole + Fraction(above, below)
    return Number(-value if match[1] == "-" else value)


def _scientific(digits: str, exponent: int) -> Number | None:
    if abs(exponent) > _MAX_EXPONENT:
        return None
    decimals = len(digits.partition(".")[2]) - exponent
    value = Fraction(digits) * Fraction(10) ** exponent
    return Number(value, decimals if "." in digits else None)


def _repeating(sign: str, whole: str, start: str, period: str) -> Fraction:
    value = Fraction(
        int(whole + start + period) - int(whole + start or "0"), (10 ** len(period) - 1) * 10 ** len(start)
    )
    return -value if sign == "-" else value


def _going_on(match: re.Match[str]) -> Number | None:
    r"""`0.333\ldots`: the shortest period that stands at the end three times or more."""
    digits = match[3]
    for size in range(1, len(digits) // 3 + 1):
        period = digits[-size:]
        start = digits[: len(digits) - 3 * size]
        if digits.endswith(period * 3):
            while start.endswith(period):
                start = start[:-size]
            return Number(_repeating(match[1], match[2], start, period))
    return None


def named_number(words: str) -> Number | None:
    """The value of a number's name up to twenty."""
    return Number(Fraction(_NAMES.index(words))) if words in _NAMES else None


def as_numeral(text: str) -> tuple[str, int] | None:
    """Digits and base of `1011_2` or `1A_{16}`; None for anything else, and for digits the base does not have."""
    match = _BASE.fullmatch("".join(text.split()))
    if not match:
        return None
    digits, base = match[2], _BASES.get(match[3]) or (int(match[3]) if match[3].isdigit() else 0)
    if not 2 <= base <= 16 or any(int(digit, 16) >= base for digit in digits if digit != "."):
        return None
    return match[1].strip("+") + (digits.lstrip("0").upper() or "0"), base
