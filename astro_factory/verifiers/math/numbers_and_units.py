r"""Numbers that are compared exactly, and what stands around them: units, money, percent, the base of a numeral.

>>> as_number("1,234.50"), as_number(r"-\frac{1}{2}")
(Number(value=Fraction(2469, 2), places=2), Number(value=Fraction(-1, 2), places=None))
"""

import re
from fractions import Fraction
from typing import NamedTuple

ROUNDED_PLACES = 6
"""A decimal of at least so many places also stands for a value that it is the beginning of."""
_MAX_EXPONENT = 300

_SPACES = re.compile(r"\\[!,;: ]|~|\s+")
_LIST = re.compile(r",\s")
_GAP = re.compile(r"\d\s+[\d.]")
_SPACED = re.compile(r"[-+]?\d{1,3}(?:\s\d{3})+(?:\.\d+)?", re.ASCII)
_NAMES = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
]
_INTEGER = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_NUMBER = re.compile(rf"([-+]?)({_INTEGER})?(\.\d+)?\.?", re.ASCII)
_SCIENTIFIC = re.compile(r"([-+]?\d+(?:\.\d+)?)(?:[eE]([-+]?\d+)|(?:\\times|\\cdot)\s*10\^\{?([-+]?\d+)\}?)", re.ASCII)
_RATIO = re.compile(
    rf"([-+]?)(?:\\[dtc]?frac\{{([-+]?)({_INTEGER})\}}\{{({_INTEGER})\}}|\(?({_INTEGER})\)?/\(?({_INTEGER})\)?)",
    re.ASCII,
)
_MIXED = re.compile(
    r"([-+]?)(\d+)(?:\s+(\d+)/(\d+)|\s*\\[dtc]?frac\s*\{(\d+)\}\s*\{(\d+)\}|\s*\\[dtc]?frac(\d)(\d))", re.ASCII
)
_REPEATING = re.compile(r"([-+]?)(\d*)\.(\d*)\\(?:overline|bar|dot)\{?(\d+)\}?", re.ASCII)

_GOES_ON = re.compile(r"([-+]?)(\d*)\.(\d*?)(\d{1,6}?)(\4){2,}\\ldots", re.ASCII)


class Number(NamedTuple):
    """An exact value; `places` are the decimals it was written with, None where it cannot be a rounded one."""

    value: Fraction
    places: int | None = None

    def equals(self, other: "Number") -> bool:
        """Equal, or one of them a long decimal that begins the other."""
        if self.value == other.value:
            return True
        places = [number.places for number in (self, other) if number.places is not None]
        return bool(places) and min(places) >= ROUNDED_PLACES and self.near(other.value, min(places))

    def near(self, value: Fraction, places: int | None = None) -> bool:
        """Whether the decimals written here could be those of `value`, rounded or cut off."""
        places = self.places if places is None else places
        return places is not None and places >= ROUNDED_PLACES and abs(self.value - value) * 10**places < 1

    def scaled(self, factor: Fraction) -> "Number":
        return Number(self.value * factor, self.places)


def as_number(answer: str) -> Number | None:
    """The value of a whole number, decimal, fraction, mixed or repeating number, in plain text or LaTeX, else None."""
    if (match := _MIXED.fullmatch(answer.strip())) and (number := _mixed(match)):
        return number
    if _LIST.search(answer) or (_GAP.search(answer) and not _SPACED.fullmatch(answer.strip())):
        return None
    text = _SPACES.sub("", answer).replace("{,}", ",")
    match = _NUMBER.fullmatch(text)
    if match and (match[2] or match[3]):
        digits = (match[2] or "0").replace(",", "") + (match[3] or "")
        return Number(Fraction(match[1] + digits), len(match[3]) - 1 if match[3] else None)
    if match := _RATIO.fullmatch(text):
        above, below = (int(part.replace(",", "")) for part in (match[3] or match[5], match[4] or match[6]))
        sign = -1 if (match[1] == "-") != (match[2] == "-") else 1
        return Number(Fraction(sign * above, below)) if below else None
    if match := _SCIENTIFIC.fullmatch(text):
        exponent = int(match[2] or match[3])
        return Number(Fraction(match[1]) * Fraction(10) ** exponent) if abs(exponent) <= _MAX_EXPONENT else None
    if match := _REPEATING.fullmatch(text):
        return Number(_repeating(*match.groups()))
    if match := _GOES_ON.fullmatch(text):
        return Number(_repeating(*match.groups()[:4]))
    return None


def named_number(words: str) -> Number | None:
    """The value of a number's name up to twenty."""
    return Number(Fraction(_NAMES.index(words))) if words in _NAMES else None


def _mixed(match: re.Match[str]) -> Number | None:
    whole = int(match[2])
    above, below = (int(part) for part in match.groups()[2:] if part)
    if not 0 < above < below:
        return None
    value = whole + Fraction(above, below)
    return Number(-value if match[1] == "-" else value)


def _repeating(sign: str, whole: str, start: str, period: str) -> Fraction:
    value = Fraction(
        int(whole + start + period) - int(whole + start or "0"), (10 ** len(period) - 1) * 10 ** len(start)
    )
    return -value if sign == "-" else value


_ALIASES = {
    "centimeter": "cm", "centimetre": "cm", "meter": "m", "metre": "m", "kilometer": "km", "kilometre": "km",
    "millimeter": "mm", "millimetre": "mm", "inch": "in", "inche": "in", "foot": "ft", "feet": "ft", "yard": "yd",
    "mile": "mi", "gram": "g", "kilogram": "kg", "milligram": "mg", "pound": "lb", "ounce": "oz", "second": "s",
    "sec": "s", "minute": "min", "hour": "h", "hr": "h", "day": "day", "year": "yr", "liter": "l", "litre": "l",
    "milliliter": "ml", "millilitre": "ml", "dollar": "usd", "buck": "usd", "usd": "usd", "euro": "eur", "cent": "cent",
    "degree": "deg", "radian": "rad", "mph": "mi/h", "kph": "km/h", "kmh": "km/h", "kmph": "km/h", "sq": "square",
    "person": "people", "child": "children", "man": "men", "woman": "women", "penny": "cent", "penni": "cent",
    "gallon": "gal", "die": "dice", "newton": "n", "joule": "j", "watt": "w", "celsius": "c", "fahrenheit": "f",
}  # fmt: skip
_KNOWN = sorted(
    {
        "cm", "mm", "km", "kg", "mg", "ft", "in", "yd", "mi", "lb", "oz", "min", "hr", "sec", "mph", "ml", "mL",
        *(name for name in _ALIASES if len(name) > 2), "apples", "units", "unit", "students", "marbles", "coins",
        "ways", "points", "days", "weeks", "week", "months", "month", "people", "children", "boys", "girls", "books",
        "tickets", "squares", "cards", "balls", "pages", "miles", "pounds", "years old", "square", "cubic", "sq",
        "times", "men", "women", "games", "m/s", "km/h", "m/s^{2}", "pieces", "numbers", "triangles",
    },
    key=len,
    reverse=True,
)  # fmt: skip
_PLURAL = r"(?:s|es)?"
_POWER = r"(?:\s*\^\s*\{?[23]\}?)?"
_WORD_UNITS = rf"(?:{'|'.join(map(re.escape, _KNOWN))}){_PLURAL}{_POWER}"
_PLAIN_UNIT = re.compile(
    rf"(?<=[\d}})\s])\s*((?:{_WORD_UNITS})(?:\s*(?:/|per\s)\s*[a-zA-Z]+{_POWER}|\s+[a-z]+{_POWER}){{0,3}}\.?)$"
)
_LETTER_UNIT = re.compile(r"(?<=\d) ([mgshLl](?:\^\{[23]\})?)$")
_TEXT_UNIT = re.compile(
    r"\\text\s*\{\s*\.?([^{}]*?)\s*\}(\s*\^\s*\{?-?[123]\}?|\s*/\s*\\text\{[^{}]*\}" + _POWER + r")?\s*$"
)
_DEGREES = re.compile(r"\^\{\\circ\}\s*(?:\\text\{\s*)?([CF])?\s*\}?$")
_MONEY = re.compile(r"^(-?)\s*(?:USD|\\pounds|£|€|¥)\s*|\s*(?:£|€)$")
_SIZES = {
    "mm": ("length", Fraction(1, 1000)), "cm": ("length", Fraction(1, 100)), "m": ("length", Fraction(1)),
    "km": ("length", Fraction(1000)), "in": ("length", Fraction(254, 10000)), "ft": ("length", Fraction(3048, 10000)),
    "yd": ("length", Fraction(9144, 10000)), "s": ("time", Fraction(1)), "min": ("time", Fraction(60)),
    "h": ("time", Fraction(3600)), "day": ("time", Fraction(86400)), "week": ("time", Fraction(604800)),
    "mg": ("mass", Fraction(1, 1000)), "g": ("mass", Fraction(1)), "kg": ("mass", Fraction(1000)),
    "ml": ("volume", Fraction(1, 1000)), "l": ("volume", Fraction(1)), "cent": ("money", Fraction(1, 100)),
    "usd": ("money", Fraction(1)),
}  # fmt: skip
_BASE = re.compile(r"(?:\\text\{)?([0-9A-F]+)\}?_\{?(?:\\text\{)?(\d{1,2}|two|ten|eight|sixteen)\}?\}?", re.ASCII)
_BASES = {"two": 2, "eight": 8, "ten": 10, "sixteen": 16}


class Measured(NamedTuple):
    """A quantity without what stands around its number."""

    text: str
    unit: str = ""
    percent: bool = False


def measured(text: str) -> Measured:
    """Number text, canonical unit and percent sign of a tidy text; the text itself where it has none of them."""
    text = text.strip()
    if text.endswith(r"\%"):
        return Measured(text[:-2].strip(), "", True)
    if match := _MONEY.search(text):
        rest = (match[1] or "") + text[match.end() :] if match.start() == 0 else text[: match.start()]
        inner = measured(rest.strip())
        return Measured(inner.text, inner.unit if inner.unit and inner.unit != "usd" else "usd")
    if match := _DEGREES.search(text):
        return Measured(text[: match.start()].strip(), ("deg" + (match[1] or "")).lower())
    for pattern in (_TEXT_UNIT, _PLAIN_UNIT, _LETTER_UNIT):
        match = pattern.search(text)
        if match and _numeric(text[: match.start()]):
            power = match[2] or "" if pattern is _TEXT_UNIT else ""
            return Measured(text[: match.start()].strip().rstrip("-").strip(), unit_name(match[1] + power))
    return Measured(text)


def _numeric(text: str) -> bool:
    """Whether what stands before a unit can be a number: it holds a digit or a constant."""
    return bool(re.search(r"\d|\\pi|\\sqrt", text))


def unit_name(text: str) -> str:
    """One spelling of a unit: `square units`, `units^2` and `sq. units` are `unit^2`."""
    text = re.sub(r"\\text|[{}.()]", " ", text.replace("^", " ^").replace("/", " / ")).lower()
    words = [_singular(word) for word in text.split() if word not in ("of", "the", "a", "total")] or text.split()
    shown, power = [], ""
    for word in words:
        if word in ("square", "cubic"):
            power = "^2" if word == "square" else "^3"
        elif word.startswith("^"):
            shown[-1:] = [(shown[-1] if shown else "") + word]
        elif word == "per":
            shown.append("/")
        else:
            shown.append(word + power)
            power = ""
    return "".join(shown) + power


def _singular(word: str) -> str:
    word = _ALIASES.get(word, word)
    if len(word) > 2 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return _ALIASES.get(word, word)


def units_agree(first: str, second: str) -> bool:
    """A missing unit agrees with any, and `unit` with any length."""
    generic = ("", "unit", "unit^2", "unit^3")
    return first == second or first in generic[:1] or second in generic[:1] or {first, second} <= set(generic[:2])


def conversion(first: str, second: str) -> Fraction | None:
    """How many of the second unit the first one is; None where they do not measure the same."""
    ours, theirs = _SIZES.get(first), _SIZES.get(second)
    return ours[1] / theirs[1] if ours and theirs and ours[0] == theirs[0] else None


def as_numeral(text: str) -> tuple[str, int] | None:
    """Digits and base of `1011_2` or `1A_{16}`; None for anything else, and for digits the base does not have."""
    match = _BASE.fullmatch(re.sub(r"\s", "", text))
    if not match:
        return None
    base = _BASES.get(match[2]) or int(match[2])
    if not 2 <= base <= 16 or any(int(digit, 16) >= base for digit in match[1]):
        return None
    return match[1].lstrip("0") or "0", base
