r"""Names of units and nouns, and how units of one kind are converted.

    >>> unit_of("km/h")
    Unit(scale=Fraction(5, 18), dimensions=(('m', 1), ('s', -1)))

Units of one kind differ by a factor; every noun is a kind of its own.
"""

import re
from fractions import Fraction
from typing import NamedTuple

MAX_NOUNS = 6


class Unit(NamedTuple):
    """How many basic units it is, and which ones with which powers, in alphabetical order."""

    scale: Fraction
    dimensions: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        factor = "" if self.scale == 1 else f"{self.scale} "
        return factor + " ".join(name if power == 1 else f"{name}^{power}" for name, power in self.dimensions)


_BASIC: dict[str, tuple[Fraction, str]] = {
    "m": (Fraction(1), "m"), "g": (Fraction(1, 1000), "kg"), "s": (Fraction(1), "s"), "A": (Fraction(1), "A"),
    "K": (Fraction(1), "K"), "mol": (Fraction(1), "mol"), "J": (Fraction(1), "kg m2 s-2"), "N": (Fraction(1),
    "kg m s-2"),
    "W": (Fraction(1), "kg m2 s-3"), "Pa": (Fraction(1), "kg m-1 s-2"), "Hz": (Fraction(1), "s-1"), "C": (Fraction(1),
    "A s"),
    "V": (Fraction(1), "A-1 kg m2 s-3"), "F": (Fraction(1), "A2 kg-1 m-2 s4"), "H": (Fraction(1), "A-2 kg m2 s-2"),
    "T": (Fraction(1), "A-1 kg s-2"), "Wb": (Fraction(1), "A-1 kg m2 s-2"), "eV": (Fraction(1), "eV"),
    "L": (Fraction(1, 1000), "m3"), "l": (Fraction(1, 1000), "m3"), "cal": (Fraction(1), "cal"),
    "bar": (Fraction(10**5), "kg m-1 s-2"),
}  # fmt: skip
_PREFIXES = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "c": Fraction(1, 100),
    "d": Fraction(1, 10),
    "k": Fraction(1000), "M": Fraction(10**6), "G": Fraction(10**9), "p": Fraction(1, 10**12), "T": Fraction(10**12),
}  # fmt: skip
_FIXED: dict[str, tuple[Fraction, str]] = {
    "in": (Fraction(254, 10000), "m"), "ft": (Fraction(3048, 10000), "m"), "yd": (Fraction(9144, 10000), "m"),
    "mi": (Fraction(1609344, 1000), "m"), "lb": (Fraction(45359237, 10**8), "kg"),
    "oz": (Fraction(45359237, 16 * 10**8), "kg"),
    "min": (Fraction(60), "s"), "h": (Fraction(3600), "s"), "day": (Fraction(86400), "s"), "week": (Fraction(604800),
    "s"),
    "yr": (Fraction(1), "yr"), "month": (Fraction(1), "month"), "usd": (Fraction(1), "usd"),
    "cent": (Fraction(1, 100), "usd"),
    "rs": (Fraction(1), "inr"), "inr": (Fraction(1), "inr"), "eur": (Fraction(1), "eur"), "gbp": (Fraction(1), "gbp"),
    "jpy": (Fraction(1), "jpy"), "deg": (Fraction(1), "deg"), "arcmin": (Fraction(1, 60), "deg"), "rad": (Fraction(1),
    "rad"),
    "arcsec": (Fraction(1, 3600), "deg"), "gal": (Fraction(1), "gal"), "degC": (Fraction(1), "degC"),
    "degF": (Fraction(1), "degF"), "unit": (Fraction(1), "unit"), "ton": (Fraction(1), "ton"), "ohm": (Fraction(1),
    "A-2 kg m2 s-3"),
    "rev": (Fraction(1), "rev"), "dozen": (Fraction(12), ""), "knot": (Fraction(1), "knot"), "au": (Fraction(1), "au"),
    "hundred": (Fraction(100), ""), "thousand": (Fraction(1000), ""), "million": (Fraction(10**6), ""),
    "billion": (Fraction(10**9), ""), "trillion": (Fraction(10**12), ""), "acre": (Fraction(1), "acre"),
    "pt": (Fraction(1), "pt"),
    "ha": (Fraction(10**4), "m2"), "atm": (Fraction(101325), "kg m-1 s-2"), "M": (Fraction(1000), "m-3 mol"),
}  # fmt: skip
_ALIASES = {
    "centimeter": "cm", "centimetre": "cm", "meter": "m", "metre": "m", "kilometer": "km", "kilometre": "km",
    "millimeter": "mm", "millimetre": "mm", "inch": "in", "foot": "ft", "feet": "ft", "yard": "yd", "mile": "mi",
    "gram": "g", "kilogram": "kg", "milligram": "mg", "pound": "lb", "lbs": "lb", "ounce": "oz", "second": "s",
    "sec": "s", "minute": "min", "hour": "h", "hr": "h", "hrs": "h", "mins": "min", "secs": "s", "year": "yr",
    "yrs": "yr", "liter": "L", "litre": "L", "milliliter": "mL", "millilitre": "mL", "dollar": "usd", "buck": "usd",
    "USD": "usd", "euro": "eur", "EUR": "eur", "GBP": "gbp", "INR": "inr", "JPY": "jpy", "rupee": "inr", "Rs": "inr",
    "yen": "jpy", "penny": "cent", "pennie": "cent", "degree": "deg", "radian": "rad", "kph": "km/h", "kmh": "km/h",
    "kmph": "km/h", "mph": "mi/h", "newton": "N", "joule": "J", "watt": "W", "volt": "V", "ampere": "A", "amp": "A",
    "kelvin": "K", "celsius": "degC", "fahrenheit": "degF", "mole": "mol", "gallon": "gal", "Omega": "ohm",
    "micrometer": "um", "micron": "um", "nanometer": "nm", "hertz": "Hz", "pascal": "Pa", "mile per hour": "mi/h",
    "ppl": "people", "person": "people", "child": "children", "man": "men", "woman": "women", "die": "dice",
    "revolution": "rev", "acres": "acre", "hectare": "ha", "wk": "week", "mo": "month",
}  # fmt: skip
_GENERIC = "unit"
_CHANGING = frozenset(
    """or and not no nor neither either is isn't are was were be been wrong false incorrect right correct true maybe
    perhaps possibly probably but except unless until than then less least more most fewer greater larger smaller
    above below over under between within outside inside from to through about around approximately approx roughly
    nearly almost if when whenever while where for any all some none nothing never always instead rather versus vs
    plus minus times divided multiplied by modulo mod factorial squared cubed root square-root half halves third
    thirds quarter quarters fourth fourths fifth fifths sixth sixths seventh sevenths eighth eighths ninth ninths
    tenth tenths hundredth hundredths thousandth thousandths double twice thrice triple negative positive opposite
    inverse reciprocal percent base binary hex octal one two three four five six seven eight nine ten eleven twelve
    thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty
    ninety score pair pairs first second-best last which that this these those it its they can't cannot could would
    should may might must will answer answers guess i we you he she also both other another else only just even well
    as with without infinity infinite undefined does don't do did has have had what who whose because since so
    therefore hence equals equal""".split()
)
"""Words beside a number that change what is answered, or make more than one answer of it."""
FILLING = frozenset(("of", "the", "a", "an", "total", "in", "altogether", "each", "left", "per", "old"))
_POWER = re.compile(r"\^\{? ?(-?\d)\}?")
_CURRENCY = re.compile(r"\\(USD|EUR|GBP|INR|JPY)(?![a-zA-Z])")
_BRACED_POWER = re.compile(r"\^\{ ?(-?\d) ?\}")
_TEMPERATURE = re.compile(r"\bdeg (C|F)(?:elsius|ahrenheit)?\b")
_MICRO = re.compile(r"\bu (?=[a-zA-Z])")
_ATOM = re.compile(r"([A-Za-z][A-Za-z'-]*)\.?(?:\^\{? ?(-?\d) ?\}?|(-?\d))?")


def changes_value(words: str) -> bool:
    """Whether words before a number can change what is answered: `not`, `between`, `page`."""
    allowed = ("is", "are", "equals", "answer", "approximately", "about", "roughly", "approx")
    return any(
        word.lower().strip(":") in _CHANGING and word.lower().strip(":") not in allowed for word in words.split()
    )


def is_noun(word: str) -> bool:
    """Whether a bare word can be what is counted: longer than a product of variables, with a vowel."""
    folded = word.lower()
    if folded in _CHANGING:
        return False
    long = len(word) >= 4 and re.search("[aeiouy]", folded) is not None
    return long or folded in ("men", "ways", "boys", "cats", "pens", "year", "day", "week")


def unit_of(text: str) -> Unit | None:
    """The unit that a text spells; None for what is no unit, and for words that change the value."""
    text = text.replace(r"^{\circ}", " deg ").replace(r"\text", " ").replace(r"\mu", " u").replace(r"\Omega", " Omega ")
    text = _CURRENCY.sub(r"\1", text)
    text = _BRACED_POWER.sub(r"^\1", text)
    text = " ".join(re.sub(r"\\cdot|\\[,;: ]|[{}()~]", " ", text).split())
    text = _TEMPERATURE.sub(lambda found: "deg" + found[1], text)
    text = _MICRO.sub("u", text)
    words = text.replace("/", " / ").split()
    scale, dimensions, sign, nouns, pending = Fraction(1), dict[str, int](), 1, list[str](), 1
    for word in words:
        if word in ("/", "per"):
            sign = -1
            continue
        if word.lower().rstrip(".") in ("square", "sq", "cubic"):
            pending = 3 if word.lower() == "cubic" else 2
            continue
        match = _ATOM.fullmatch(word)
        if not match:
            power = _POWER.fullmatch(word)
            if not power or not (dimensions or nouns):
                return None
            return _raised(words, text)
        name, power = match[1], int(match[2] or match[3] or 1)
        if (found := known_unit(name)) is not None:
            factor, parts = found
            exponent = sign * power * pending
            scale *= factor**exponent
            for part, of in parts:
                dimensions[part] = dimensions.get(part, 0) + of * exponent
        elif name.lower() in _CHANGING:
            return None
        elif name.lower() not in FILLING:
            if match[2] or match[3] or len(nouns) >= MAX_NOUNS:
                return None
            nouns.append(("/" if sign < 0 else "") + _singular(name.lower()))
        pending = 1
    if nouns:
        dimensions[" ".join(nouns)] = 1
    if pending != 1:
        dimensions[_GENERIC] = pending
    kept = tuple(sorted((name, power) for name, power in dimensions.items() if power))
    return Unit(scale, kept) if kept or scale != 1 or words else None


def _raised(words: list[str], text: str) -> Unit | None:
    """`units ^2`, with a space before the power."""
    joined = re.sub(r" \^", "^", " ".join(words))
    return unit_of(joined) if joined != " ".join(words) else None


def known_unit(name: str) -> tuple[Fraction, list[tuple[str, int]]] | None:
    """Factor and basic units of a unit's name or abbreviation; None for a noun."""
    for spelling in (name, name.lower() if len(name) > 3 else name, _singular(name.lower()) if len(name) > 2 else name):
        spelling = _ALIASES.get(spelling, spelling)
        if "/" in spelling:
            above, below = (known_unit(part) for part in spelling.split("/"))
            if above and below:
                return above[0] / below[0], [*above[1], *((part, -power) for part, power in below[1])]
        if spelling in _FIXED:
            return _FIXED[spelling][0], _dimensions(_FIXED[spelling][1])
        if spelling in _BASIC:
            return _BASIC[spelling][0], _dimensions(_BASIC[spelling][1])
        if spelling[:1] in _PREFIXES and spelling[1:] in _BASIC and spelling not in ("min", "cd"):
            factor, dimensions = _BASIC[spelling[1:]]
            parts = _dimensions(dimensions)
            return factor * _PREFIXES[spelling[0]], parts
    return None


def _dimensions(text: str) -> list[tuple[str, int]]:
    found = []
    for part in text.split():
        match = re.fullmatch(r"([A-Za-z]+)(-?\d)?", part)
        if match:
            found.append((match[1], int(match[2] or 1)))
    return found


def _singular(word: str) -> str:
    word = _ALIASES.get(word, word)
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("ches") or word.endswith("shes") or word.endswith("xes") or word.endswith("sses"):
        return _ALIASES.get(word[:-2], word[:-2])
    if len(word) > 2 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return _ALIASES.get(word, word)


def conversion(answer: Unit | None, gold: Unit | None) -> Fraction | None:
    """How many of the gold's unit the answer's one is; None where they differ in kind. A missing one is the other's.

    A unit without a kind (`million`) is a factor and never left out; `unit` stands for any length.
    """
    if answer is None or gold is None:
        given = answer or gold
        if given is None or given.dimensions:
            return Fraction(1)
        return given.scale if answer else 1 / given.scale
    if answer.dimensions == gold.dimensions:
        return answer.scale / gold.scale
    names = {name for unit in (answer, gold) for name, _ in unit.dimensions}
    powers = [sum(power for _, power in unit.dimensions) for unit in (answer, gold)]
    if _GENERIC in names and names <= {_GENERIC, "m"} and powers[0] == powers[1]:
        return Fraction(1)
    if not answer.dimensions or not gold.dimensions or _same_noun(answer, gold):
        return answer.scale / gold.scale
    return None


def _same_noun(first: Unit, second: Unit) -> bool:
    """Whether one names what is counted in fewer words: `stones` for `pink flower stones`."""
    if len(first.dimensions) != 1 or len(second.dimensions) != 1:
        return False
    ours, theirs = first.dimensions[0][0].split(), second.dimensions[0][0].split()
    shorter, longer = sorted((ours, theirs), key=len)
    return len(shorter) < len(longer) and shorter[-1] in (longer[-1], longer[0]) and set(shorter) <= set(longer)
