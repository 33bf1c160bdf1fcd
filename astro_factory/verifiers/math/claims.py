r"""The equalities that a step claims, and which of them are false by value.

    >>> claims(r"So $3 \cdot 4 + 2 = 15$ apples.")
    [Claim(calculation='$3 \\cdot 4 + 2$', stated='$15$', value='$14$', holds=False)]

Only arithmetic is read: numbers, + - * / ^, fractions, roots that come out even, factorials and binomials, in LaTeX or
plain text. What has a variable, a unit on one side only, a congruence or a rounded value is no claim here, and neither
is what its sentence denies or supposes: a check that is wrong teaches more harm than one that is missing. Runs in the
caller's process with exact fractions on bounded texts, and never raises.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from astro_factory.verifiers.math.exact import Value, evaluate, without_spacing

MAX_CHARS = 4000
"""Only so much of a step is read."""
MAX_CLAIMS = 50

_FORMULA = re.compile(
    r"\$\$(?P<a>.+?)\$\$|\\\[(?P<b>.+?)\\\]|\\\((?P<c>.+?)\\\)"
    r"|(?<![\\\w$])\$(?=\S)(?P<d>[^$\n]+?)(?<=[^\s\\])\$(?!\d)"
    r"|\\begin\{(?:align|aligned|equation|gather|eqnarray|split)\*?\}(?P<e>.+?)\\end\{",
    re.DOTALL,
)
_BOX = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_ALIGNMENT = re.compile(r"(?<!\\)&")
_ROW = re.compile(r"\\\\(?:\[[^\]]*\])?")
_OTHER_RELATION = re.compile(
    r"\\(?:approx|neq?|leq?|geq?|lt|gt|to|sim|Rightarrow|rightarrow|implies|iff|Leftrightarrow|therefore|quad|qquad)"
    r"(?![a-zA-Z])|[<>;≈≠≤≥]|,(?!\d{3})"
)
_CONTINUED = re.compile(
    r"\\\\(?:\[[^\]]*\])?((?:[\s&]|\\q?quad(?![a-z]))*(?:[+*/]|\\(?:cdot|times|div)(?![a-z])|(?<=[&d])\s*-))"
)
"""A row that begins with a sign is the rest of the row before."""
_OTHER_SENSE = re.compile(r"\\equiv|\\[pb]?mod|≡|\bmod\b|:|\\(?:pm|mp|in)(?![a-zA-Z])|±")
"""What makes an equality a congruence, a ratio or two equalities."""
_PLAIN = re.compile(r"[-+$€£(]*\.?\d[\d\s.,+\-*/\u00d7\u00f7\u00b7\u2212^()%$€£!xX=]*")
_TIMES = re.compile(r"(?<=[\d)])[ ]*[xX][ ]*(?=[\d($])")
_LETTER_BEFORE = re.compile(r"[^\W\d_]\s*\Z")
_PART_OF_MORE = re.compile(
    r"\b(?:of|than|times|by|plus|minus|over|to|from|half|twice|double|triple|per|mod|base|step)\s*\Z", re.IGNORECASE
)
_REMAINDER = re.compile(r"\s*(?:\(?\s*(?:with (?:a )?)?rem|r\s*\d|full|whole|complete|mod)", re.IGNORECASE)
_SUPPOSED = re.compile(
    r"\?|n't\b|\b(?:not|no|never|impossible|contradict\w*|false|incorrect\w*|wrong\w*|if|whether|unless|suppose\w*|assum\w*"
    r"|would|should|could|let|guess\w*|instead|rather|mod|modulo|base|round\w*|digits?|remainders?|triangles?|about|approximate\w*|roughly|nearly)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?]\s|\n\s*\n")
_LIST_MARK = re.compile(r"^\s*(?:\d+[.)]|[-*])\s+", re.MULTILINE)


class Claim(NamedTuple):
    """An equality of a step. The texts are in the step's own notation, formulas with their dollar signs."""

    calculation: str
    stated: str
    """What the step says it equals."""
    value: str
    """What it equals."""
    holds: bool


class _Part(NamedTuple):
    """One side of an equality."""

    text: str
    found: Value


@lru_cache(maxsize=1 << 14)
def claims(step: str) -> list[Claim]:
    """The equalities of a step whose two sides are arithmetic, in order; at most `MAX_CLAIMS`."""
    step = step[:MAX_CHARS]
    if "=" not in step:
        return []
    found: list[tuple[int, Claim]] = []
    spans: list[tuple[int, int]] = []
    for formula in _FORMULA.finditer(step):
        spans.append(formula.span())
        body = next(part for part in formula.groups() if part is not None)
        found += [(formula.start(), claim) for claim in _in_formula(body)]
    words = step
    for start, end in spans:
        words = words[:start] + "\x00" * (end - start) + words[end:]
    words = _LIST_MARK.sub(lambda mark: "\x00" * len(mark[0]), words)
    found += _in_words(words)
    found.sort(key=lambda item: item[0])
    return [claim for at, claim in found if claim.holds or not _is_supposed(step, at)][:MAX_CLAIMS]


def facts_of(step: str) -> dict[str, str]:
    """The claims of a step for templates: the first false one, or else the last; empty without any.

    `claims` and `false_claims` are numbers; `holds` is yes or no; `check` is the equality with its right value.
    """
    found = claims(step)
    if not found:
        return {}
    false = [claim for claim in found if not claim.holds]
    shown = false[0] if false else found[-1]
    return {
        "claims": str(len(found)),
        "false_claims": str(len(false)),
        "holds": "no" if false else "yes",
        "calculation": shown.calculation,
        "stated": shown.stated,
        "value": shown.value,
        "check": _joined(shown.calculation, shown.value),
    }


def _joined(calculation: str, value: str) -> str:
    if calculation.endswith("$") and value.startswith("$") and value.endswith("$") and len(value) > 1:
        return f"{calculation[:-1]} = {value[1:]}"
    return f"{calculation} = {value}"


def _in_formula(body: str) -> Iterator[Claim]:
    """The claims of a formula; a row that begins with an equals sign goes on from the one before."""
    body = without_spacing(body)
    if _OTHER_SENSE.search(body):
        return
    body = _CONTINUED.sub(r" \1", _BOX.sub(r"\1", body))
    last: _Part | None = None
    for row in _ROW.split(body):
        for number, run in enumerate(_OTHER_RELATION.split(_ALIGNMENT.sub(" ", row))):
            last = last if number == 0 and run.lstrip().startswith("=") else None
            for text in run.split("="):
                part = _part(text.strip().rstrip(".,;").rstrip(), True)
                if last is not None and part is not None and (claim := _claim(last, part, True)):
                    yield claim
                last = part if text.strip() else last


def _in_words(words: str) -> Iterator[tuple[int, Claim]]:
    """The claims of plain text, each with its place."""
    for run in _PLAIN.finditer(words):
        if "=" not in run[0]:
            continue
        before = words[max(0, run.start() - 20) : run.start()]
        after = words[run.end() : run.end() + 20]
        texts = [text.strip().rstrip(".,").strip() for text in _TIMES.sub(" * ", run[0]).split("=")]
        parts = [_part(text, False) for text in texts]
        glued = before.rstrip().endswith((" x", " X")) or before.rstrip()[-1:] in tuple(
            "+-*/^_\x00:=.,\u00d7\u00f7\u00b7("
        )
        named = _LETTER_BEFORE.search(before) and (before[-1:].isalpha() or texts[0][:1] in tuple("+-*/^"))
        if glued or named or _PART_OF_MORE.search(before) or not (parts[0] and parts[0].found.operations):
            parts[0] = None  # the end of something longer, or a label
        if (after[:1].isalpha() and not run[0][-1:].isspace()) or after[:1] in ("\x00", "_", "^", "\\", ":"):
            parts[-1] = None
        if _REMAINDER.match(after):
            parts[-1] = None
        for left, right in pairwise(parts):
            if left is not None and right is not None and (claim := _claim(left, right, False)):
                yield run.start(), claim


def _part(text: str, in_formula: bool) -> _Part | None:
    found = evaluate(text, in_formula)
    return None if found is None else _Part(text, found)


def _claim(left: _Part, right: _Part, in_formula: bool) -> Claim | None:
    """The equality of two sides, one of which has to be a calculation."""
    if not (left.found.operations or right.found.operations):
        return None
    if right.found.operations and not left.found.operations:
        left, right = right, left
    if (left.found.unit and left.found.unit != right.found.unit) or ("%" in left.text) != ("%" in right.text):
        return None
    value, stated = left.found.number, right.found.number
    place = Fraction(1, 10**right.found.decimals)
    is_ratio = "frac" in right.text or "/" in right.text
    if value != stated and not is_ratio and (value / place).denominator != 1 and abs(value - stated) < place:
        return None  # a rounded value
    shown = _shown(value, right, in_formula)
    if shown is None:
        return None
    texts = (left.text, right.text, right.text if value == stated else shown)
    calculation, said, true = (f"${text}$" if in_formula else text for text in texts)
    return Claim(calculation, said, true, value == stated)


def _shown(value: Fraction, stated: _Part, in_formula: bool) -> str | None:
    """A value in the notation of the stated one; None if it has too many digits to be useful in a text."""
    percent = "%" in stated.text
    value = value * 100 if percent else value
    sign, size = "-" if value < 0 else "", abs(value)
    if len(str(size.numerator)) > 15 or len(str(size.denominator)) > 6:
        return None
    if size.denominator == 1:
        text = str(size.numerator)
    elif (stated.found.decimals or not in_formula) and 10**6 % size.denominator == 0:
        text = f"{float(size):.6f}".rstrip("0")
    else:
        above, below = size.numerator, size.denominator
        text = rf"\frac{{{above}}}{{{below}}}" if in_formula else f"{above}/{below}"
    money = re.match(r"\\?[$€£]", stated.text)
    return (sign + (money[0] if money else "") + text + ((r"\%" if in_formula else "%") if percent else "")) + (
        stated.found.unit if in_formula and stated.found.unit != "money" else ""
    )


def _is_supposed(step: str, place: int) -> bool:
    """Whether the sentence around a place denies what it says, supposes it, asks for it or rounds."""
    start = max((end.end() for end in _SENTENCE_END.finditer(step, 0, place)), default=0)
    end = _SENTENCE_END.search(step, place)
    return _SUPPOSED.search(step[start : end.start() + 1 if end else len(step)]) is not None
