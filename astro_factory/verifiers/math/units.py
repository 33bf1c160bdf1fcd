r"""Quantities: a number with a unit, a currency, a percent sign or the noun of what is counted.

    >>> measured(r"12 \text{ m/s}")
    Measured(text='12', unit=Unit(scale=Fraction(1, 1), dimensions=(('m', 1), ('s', -1))), percent=False)

Units of one kind differ by a factor; every noun is a kind of its own. What may stand beside a number is a list of units
and nouns without words that change the value ("or", "not", "between", "dozen").
"""

import re
from fractions import Fraction
from typing import NamedTuple

from astro_factory.verifiers.math.latex_normalize import tokens
from astro_factory.verifiers.math.unit_names import FILLING, Unit, is_noun, known_unit, unit_of


class Measured(NamedTuple):
    """A quantity without what stands around its number."""

    text: str
    unit: Unit | None = None
    percent: bool = False


_CLOSING = frozenset(("total", "altogether", "each", "left", "old"))
_KNOWN_PLAIN = frozenset(
    """cm mm km kg mg ft in yd mi lb lbs oz min mins hr hrs sec mph ml mL dollars cents degrees inch inches feet foot
    units unit sq square cubic usd USD hours days km/h m/s kph kWh Hz kHz MHz eV nm kPa rad rpm mol""".split()
)
_CURRENCIES = frozenset((r"\USD", r"\EUR", r"\GBP", r"\INR", r"\JPY"))
_MONEY = re.compile(r"(?P<sign>[-+]?) ?(?P<name>\\?(?:USD|EUR|GBP|INR|JPY)|Rs\.?)(?=[ \d.+\\(-])")


def measured(text: str) -> Measured:
    """Number text, unit and percent sign of a tidy text; the text itself where it has none of them."""
    text = text.strip()
    if text.endswith(r"\%"):
        return Measured(text[:-2].strip(), None, True)
    if match := _MONEY.match(text):
        inner = _suffixed(match["sign"] + text[match.end() :].strip())
        money = unit_of(match["name"].strip("\\."))
        if _numeric(inner.text):
            return inner._replace(unit=_with_money(inner.unit, money))
    if r"\USD" in text and not text.endswith(r"\USD"):  # 3\times\$4
        inner = _suffixed(text.replace(r"\USD", ""))
        return inner._replace(unit=_with_money(inner.unit, unit_of("USD")))
    return _suffixed(text)


def _with_money(unit: Unit | None, money: Unit | None) -> Unit | None:
    """`\\$5 million`, `\\$18 per day`: the currency with what stands behind the number."""
    if unit is None or money is None or unit.dimensions:
        return money
    return Unit(unit.scale * money.scale, money.dimensions)


def _suffixed(text: str) -> Measured:
    """The quantity whose unit stands at the end."""
    found = tokens(text)
    at = len(found)
    while at and (start := _unit_start(found, at)) is not None:
        at = start
    number, unit_text = "".join(found[:at]).strip(), "".join(found[at:]).strip()
    while unit_text and number.endswith(("/", r"\cdot", "-")):
        joint = r"\cdot" if number.endswith(r"\cdot") else number[-1]
        number, unit_text = number[: -len(joint)].strip(), ("/" if joint == "/" else "") + unit_text
    if not unit_text or not _numeric(number) or not balanced_number(number):
        return Measured(text)
    unit = unit_of(unit_text)
    return Measured(text) if unit is None else Measured(number, unit)


def balanced_number(text: str) -> bool:
    depth = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if depth < 0:
            return False
    return depth == 0


def _unit_start(found: list[str], end: int) -> int | None:
    """Where the piece of a unit that ends at `end` starts; None where there is none."""
    last = found[end - 1]
    if last == " ":
        return end - 1
    if last == "}":
        start = _group_start(found, end)
        if start is None:
            return None
        before = found[start - 1] if start else ""
        inside = "".join(found[start + 1 : end - 1]).strip()
        if before == r"\text":
            return start - 1
        if before == "^" and inside == r"\circ":
            return start - 1
        if before == "^" and re.fullmatch(r"-?\d", inside):
            return _before_power(found, start - 1)
        return None
    if (
        last in _CURRENCIES
        or last == r"\Omega"
        or (last == r"\mu" and "".join(found[end:]).lstrip().startswith(r"\text"))
    ):
        return end - 1
    if last in ("/", r"\cdot"):
        return end - 1 if end < len(found) and _unit_start(found, end - 1) is not None else None
    if last == ")" and (start := _round_start(found, end)) is not None:
        inside = "".join(found[start + 1 : end - 1])
        return start if re.fullmatch(r"[A-Za-z][A-Za-z .'-]*", inside) and len(inside) > 1 else None
    if last == "." and end >= 2 and found[end - 2].isalpha():
        end -= 1
    return _plain_start(found, end)


def _before_power(found: list[str], at: int) -> int | None:
    """The start of a unit that has a power: a power belongs to a unit only where a unit is before it."""
    if at and found[at - 1] == "}":
        start = _group_start(found, at)
        return start - 1 if start and found[start - 1] == r"\text" else None
    start = _plain_start(found, at)
    return start if start is not None and known_unit("".join(found[start:at])) else None


def _plain_start(found: list[str], end: int) -> int | None:
    """The start of a bare word that is a unit or a noun."""
    start = end
    while start and (
        found[start - 1].isalpha()
        or (found[start - 1] in "'-" and start < end and found[start - 2 : start - 1] and found[start - 2].isalpha())
    ):
        start -= 1
    word = "".join(found[start:end])
    if not word:
        return None
    before = found[start - 1] if start else ""
    if before in ("_", "{", "\\") or before.startswith("\\"):
        return None
    degrees = word in ("C", "F") and "".join(found[:start]).rstrip().endswith(r"^{\circ}")
    filling = word.lower() in FILLING and before == " " and ("".join(found[end:]).strip() or word.lower() in _CLOSING)
    if word in _KNOWN_PLAIN or degrees or filling:
        return start
    if before == " " and is_noun(word):
        return start
    # one letter behind a space: `5 m`; glued, `5m` is a product
    lonely = word in ("m", "g", "s", "h", "L", "l") and before == " " and start > 1 and found[start - 2][-1].isdigit()
    behind = "".join(found[end:]).strip()
    return start if lonely or _divides(found, start, word, behind) else None


def _divides(found: list[str], start: int, word: str, behind: str) -> bool:
    """Whether a short word stands behind the `/` of a unit: `m/s`."""
    if start < 2 or found[start - 1] != "/" or len(word) > 3 or (behind and behind[0] != "^"):
        return False
    return _unit_start(found, start - 1) is not None


_NO_NUMBER = re.compile(r"\\text|,\s|=|<|>|\\(?:le|ge|ne|approx|sin|cos|tan|cot|sec|csc|cis|arc[a-z]{3})(?![a-zA-Z])")
_PART = re.compile(
    r"(\d{1,9}(?:\.\d{1,9})?) ?(?:\\text\{ ?([A-Za-z.]{1,20})(?: and)? ?\}|([A-Za-z.]{1,20}))(?: ?\\land| ?,)? ?",
    re.ASCII,
)


def compound(text: str) -> tuple[Fraction, Unit] | None:
    """`5 ft 6 in` as 66 of its last unit; None for anything but quantities of one kind, each smaller than the last."""
    position, parts = 0, list[tuple[Fraction, Unit]]()
    while match := _PART.match(text, position):
        unit = unit_of(match[2] or match[3])
        if unit is None or len(unit.dimensions) != 1:
            return None
        parts.append((Fraction(match[1]), unit))
        position = match.end()
    if position < len(text) or len(parts) < 2 or len({unit.dimensions for _, unit in parts}) > 1:
        return None
    scales = [unit.scale for _, unit in parts]
    if sorted(scales, reverse=True) != scales or len(set(scales)) < len(scales):
        return None
    return sum((value * unit.scale for value, unit in parts), Fraction(0)) / scales[-1], parts[-1][1]


def _group_start(found: list[str], end: int) -> int | None:
    depth = 0
    for at in range(end - 1, -1, -1):
        depth += (found[at] == "}") - (found[at] == "{")
        if depth == 0:
            return at
    return None


def _round_start(found: list[str], end: int) -> int | None:
    for at in range(end - 2, -1, -1):
        if found[at] in "()":
            return at if found[at] == "(" else None
    return None


def _numeric(text: str) -> bool:
    """Whether what stands before a unit can be a number: it holds a digit or a constant."""
    return bool(re.search(r"\d|\\pi|\\sqrt", text)) and not _NO_NUMBER.search(text)
