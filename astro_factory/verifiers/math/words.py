"""Answers in words, and what tells them from products of variables: `cat` is a word, `abc` a product."""

import re

_TEXT = re.compile(r"\\text ?\{([^{}]*)\}")
_WORD_CHARACTERS = re.compile(r"[^\W\d_][\w .,'\u2019&:/()\"-]*|\(?[A-Za-z]\)?")
_SHORT_WORDS = frozenset(
    ("yes", "no", "odd", "even", "true", "false", "all", "none", "one", "two", "six", "ten", "red")
)
_LONG_WORD = re.compile(r"[^\W\d_]{4,}|(?<![^\W\d_])[^\W\d_]{2,3}[ '-][^\W\d_]{2,}")
_LETTERS = re.compile(r"[A-Za-z]{2,}")
_FAMILIES = tuple(map(frozenset, ("abcd", "xyzw", "pqrst", "kmnl", "uvw", "abxy", "xyt", "ijk", "abcxyz", "mnpq")))
"""Letters that stand together as variables."""
_CAPITALS = re.compile(r"[IVXLCDM]{1,12}|[A-Z]{2}")
_PROSE = re.compile(r"(?:The )?[A-Z]?[a-z]{3,20}(?: [\w.,'-]{1,20}){1,20}")
_TIME = re.compile(r"(\d{1,2})(?:[:.](\d{2})(:\d{2})?)? ?([ap])\.? ?m\.?", re.ASCII | re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):(0\d)", re.ASCII)
_PUNCTUATION = re.compile(r"(?<!\d)[.,]|[.,](?!\d)|['\u2019\"()]")
_HYPHEN = re.compile(r"(?<=[a-z])-(?=[a-z])|\s+")


def as_words(text: str) -> str:
    r"""An answer in words (`\text{Evelyn}`, `No`) in lower case; empty where it may be a formula.

    Signs and points of numbers among the words stay: `page 1.5` is not `page 15`.
    """
    plain = " ".join(_TEXT.sub(r" \1 ", text).replace("\\ ", " ").split())
    if not _WORD_CHARACTERS.fullmatch(plain):
        return ""
    marked = text.lstrip("( ").startswith(r"\text")
    folded = plain.strip(" .,()\"'").casefold()
    if not (marked or _LONG_WORD.search(plain) or folded in _SHORT_WORDS):
        return ""
    bare = plain.strip(" .,()\"'")
    if not marked and (any(char in "/(" or char.isdigit() for char in plain) or _is_product(bare)):
        return ""
    if _CAPITALS.fullmatch(bare):
        return bare if len(bare) > 1 else bare.lower()
    words = _HYPHEN.sub(" ", _PUNCTUATION.sub("", folded)).strip()
    return re.sub(r"^(?:the|an?) (?=[a-z]{3})", "", words).replace("no solutions", "no solution")


def as_prose(text: str) -> str:
    """Words with numbers among them, such as `Vendor 2`, as they are; empty where it may be a formula or quantity."""
    return " ".join(text.split()).strip(" .").casefold() if _PROSE.fullmatch(text) else ""


def is_word(text: str) -> bool:
    """Whether letters without anything between them are a word, a numeral or a name rather than a product."""
    if not _LETTERS.fullmatch(text) or _is_product(text):
        return False
    return len(text) > 2 or text.isupper()


def _is_product(text: str) -> bool:
    if not _LETTERS.fullmatch(text):
        return False
    return any(family.issuperset(text) for family in _FAMILIES) or (
        len(text) == 3 and not text.islower() and not text.istitle() and not text.isupper()
    )


def time_of_day(text: str) -> str:
    r"""`13:03` for `\text{1:03 PM}`; empty for anything else. `1:03` alone is a time of its own."""
    plain = " ".join(_TEXT.sub(r" \1 ", text).split())
    if match := _TIME.fullmatch(plain):
        hour, minute = int(match[1]), int(match[2] or 0)
        if not 1 <= hour <= 12 or minute > 59:
            return ""
        return f"time {hour % 12 + (12 if match[4] in 'pP' else 0)}:{minute:02}{match[3] or ''}"
    match = _CLOCK.fullmatch(plain)
    return f"time on the clock {plain}" if match else ""
