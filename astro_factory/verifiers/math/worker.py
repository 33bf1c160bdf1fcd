"""The comparison that runs in the processes of the `math` verifier, without time limits: the process is killed instead.

Formulas are read by the grammar that math-verify reads them with (latex2sympy); nothing is ever given to `eval`.
"""

from functools import lru_cache
from typing import NamedTuple

from sympy.core.cache import clear_cache

from astro_factory.verifiers.math.answer_types import (
    Difference,
    FiniteSet,
    Form,
    Matrix,
    NamedSet,
    Relation,
    TupleOrInterval,
    Union,
    UnorderedList,
    UnreadableError,
    Value,
    Words,
    read,
)
from astro_factory.verifiers.math.equivalence import same
from astro_factory.verifiers.math.numbers_and_units import as_numeral
from astro_factory.verifiers.math.symbolic import TooLargeError, formula

MAX_SPELLING_CHARS = 200
_WARM_UP = (
    r"\frac{\sqrt{3}}{2}+2\pi x^{2}-3xy", r"\sin^{2}(x)+\cos 2x", r"\log_{2}(8)\cdot e^{-x}", r"\binom{n}{2}+n!",
    r"(x+1)(x-1)", r"|x-1|+\sqrt[3]{2}", r"2\arctan\frac{1}{2}", r"a+bi", "3.5x", r"\lfloor x\rfloor",
)  # fmt: skip
_CLEAR_EVERY = 2000
_calls = 0


class Comparison(NamedTuple):
    """Whether two answers are equal, one spelling of each for all its forms, and what is wrong with each."""

    equal: bool
    gold: str = ""
    answer: str = ""
    gold_fault: str = ""
    answer_fault: str = ""


def compare(pair: tuple[str, str]) -> Comparison:
    """Compare a gold answer with a response's answer, in this order."""
    _tend_cache()
    try:
        (gold, gold_fault), (answer, answer_fault) = _both(*pair)
        if gold is None or answer is None:
            return Comparison(False, "", "", gold_fault, answer_fault)
        return Comparison(same(gold, answer), _spelled(gold, pair[0]), _spelled(answer, pair[1]))
    except (MemoryError, RecursionError) as error:
        return Comparison(False, answer_fault=f"too large ({type(error).__name__})")


def _both(gold_text: str, answer_text: str) -> tuple[tuple[Form | None, str], tuple[Form | None, str]]:
    """Both answers read. `1,234` is a number, except against a list."""
    gold, answer = _understood(gold_text), _understood(answer_text)
    if isinstance(gold[0], UnorderedList) and _has_thousands(answer[0]):
        answer = _understood(answer_text.replace(",", ", "))
    elif isinstance(answer[0], UnorderedList) and _has_thousands(gold[0]):
        gold = _understood(gold_text.replace(",", ", "))
    return gold, answer


def _has_thousands(form: Form | None) -> bool:
    return isinstance(form, Value) and form.number is not None and "," in form.text


@lru_cache(maxsize=4096)
def _understood(text: str) -> tuple[Form | None, str]:
    """The form of an answer, or why it has none. Every formula in it must have been read."""
    try:
        form = read(text)
        missing = next((value.text for value in _values(form) if value.number is None and _unread(value.text)), None)
    except UnreadableError as error:
        return None, str(error)
    except TooLargeError as error:
        return None, f"too large to evaluate: {error}"
    return (form, "") if missing is None else (None, f"'{missing:.60}' is no formula")


def _unread(text: str) -> bool:
    return formula(text) is None and as_numeral(text) is None and not _plain_name(text)


def _plain_name(text: str) -> bool:
    r"""What no grammar reads and yet is an answer when written alike: `\overline{AB}`, `\triangle ABC`, `12:30`."""
    return (
        text.startswith((r"\overline", r"\triangle", r"\angle", r"\text", r"\begin{cases}", r"\mathbb")) or ":" in text
    )


def _values(form: Form) -> list[Value]:
    if isinstance(form, Value):
        return [form]
    if isinstance(form, Matrix):
        return [value for row in form.rows for cell in row for value in _values(cell)]
    if isinstance(form, Difference):
        return _values(form.whole) + _values(form.without)
    return [value for part in _parts(form) for value in _values(part)]


def _parts(form: Form) -> tuple[Form, ...]:
    if isinstance(form, Relation):
        return form.sides
    if isinstance(form, Union):
        return form.parts
    return form.items if isinstance(form, UnorderedList | FiniteSet | TupleOrInterval) else ()


def _spelled(form: Form, source: str) -> str:
    text = _spelling(form)
    return text if len(text) <= MAX_SPELLING_CHARS else source[:MAX_SPELLING_CHARS]


def _spelling(form: Form) -> str:
    if isinstance(form, Value):
        return _value_spelling(form)
    if isinstance(form, Words):
        return form.text
    if isinstance(form, NamedSet):
        return "empty set" if form.name == "0" else f"all of {form.name}"
    if isinstance(form, Difference):
        return f"{_spelling(form.whole)} without {_spelling(form.without)}"
    if isinstance(form, Matrix):
        return "[" + "; ".join(", ".join(map(_spelling, row)) for row in form.rows) + "]"
    if isinstance(form, Relation):
        sides = [_spelling(side) for side in form.sides]
        return sides[0] + "".join(
            f" {sign.lstrip(chr(92))} {side}" for sign, side in zip(form.signs, sides[1:], strict=True)
        )
    parts = [_spelling(part) for part in _parts(form)]
    if isinstance(form, Union):
        return " u ".join(sorted(parts))
    if isinstance(form, TupleOrInterval):
        return form.opening + ", ".join(parts) + form.closing
    return ", ".join(sorted(parts)) if isinstance(form, UnorderedList) else "{" + ", ".join(sorted(set(parts))) + "}"


def _value_spelling(value: Value) -> str:
    unit = f" {value.unit}" if value.unit else "%" if value.percent else ""
    if value.number:
        return f"{value.number.value}{unit}"
    found = formula(value.text)
    try:
        return value.text + unit if found is None else f"{found.doit()}{unit}"
    except ValueError:  # a whole number of more digits than Python writes
        return value.text + unit


def _tend_cache() -> None:
    """Keep sympy's memory of past calls from growing with their number."""
    global _calls
    _calls += 1
    if _calls % _CLEAR_EVERY == 0:
        clear_cache()


for _text in _WARM_UP:
    formula(_text)
