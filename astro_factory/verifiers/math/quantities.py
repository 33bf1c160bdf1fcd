"""Whether two single values are equal: numbers, formulas, quantities with units, shares in percent, words."""

from dataclasses import replace
from fractions import Fraction

import sympy
from sympy import Expr, ImmutableMatrix, Rational

from astro_factory.verifiers.math.answer_types import Form, Matrix, Relation, UnorderedList, Value, Words, parts_of
from astro_factory.verifiers.math.arithmetic import Operand
from astro_factory.verifiers.math.numbers import Number, as_numeral, named_number
from astro_factory.verifiers.math.symbolic import equal_formulas, equal_operands, expression, formula
from astro_factory.verifiers.math.unit_names import conversion

_HUNDREDTH = Fraction(1, 100)
_AS_IT_IS = Fraction(1)


def same_value(gold: Form, answer: Form) -> bool:
    """Whether an answer is the gold value; a unit or a percent sign that only one of them has counts as left out."""
    if not isinstance(gold, Value) or not isinstance(answer, Value):
        return _same_words(gold, answer)
    numerals = _numerals(gold, answer)
    if numerals:
        return numerals[0] == numerals[1]
    factor = conversion(answer.unit, gold.unit)
    if factor is None:
        return False
    if factor != _AS_IT_IS:
        answer = scaled(answer, factor)
    if gold.percent == answer.percent:
        return _same_quantity(gold, answer)
    if _same_quantity(gold, answer):  # the sign is left out, as a unit may be
        return True
    ours, theirs = (scaled(value, _HUNDREDTH) if value.percent else value for value in (gold, answer))
    return _same_quantity(ours, theirs)


def _same_words(gold: Form, answer: Form) -> bool:
    ours, theirs = _in_figures(gold), _in_figures(answer)
    if ours and theirs:
        return ours.equals(theirs)
    first, second = _letters(gold), _letters(answer)
    return bool(first) and first == second


def _in_figures(form: Form) -> Number | None:
    if isinstance(form, Words):
        return named_number(form.text)
    return form.number if isinstance(form, Value) else None


def _letters(form: Form) -> str:
    """Words as they are; of a value only a single letter, which may name a choice or a point."""
    if isinstance(form, Words):
        return form.text
    text = form.text.strip("() .") if isinstance(form, Value) else ""
    return text.casefold() if len(text) == 1 else text.replace(r"\cdot", "").replace(" ", "")


def _numerals(gold: Value, answer: Value) -> tuple[tuple[str, int], tuple[str, int]] | None:
    """Numerals of a base, compared by digits; a base that only the gold answer states is the answer's."""
    ours, theirs = as_numeral(gold.text), as_numeral(answer.text)
    if ours is None and theirs is None:
        return None
    if ours is None:  # without a base, the gold number is in base ten
        return (gold.text.strip(), 10), theirs or ("", 0)
    return ours, theirs or (answer.text.strip(), ours[1])


def scaled(value: Value, factor: Fraction) -> Value:
    """A value times a factor."""
    number = value.number.scaled(factor) if value.number else None
    return Value(rf"({value.text})\cdot\frac{{{factor.numerator}}}{{{factor.denominator}}}", number, value.unit)


def _same_quantity(gold: Value, answer: Value) -> bool:
    if gold.number and answer.number:
        return gold.number.equals(answer.number)
    ours, theirs = operand_of(gold), operand_of(answer)
    if ours is None or theirs is None:
        return False
    if equal_operands(ours, theirs):
        return True
    for number, other in ((gold.number, theirs), (answer.number, ours)):
        if number and number.decimals is not None and isinstance(other, Expr) and _is_rounded(number, other):
            return True
    return False


def _is_rounded(number: Number, value: Expr) -> bool:
    """Whether a long decimal is the beginning of an irrational value."""
    if value.free_symbols or not value.is_number:
        return False
    found = value.evalf(60)
    return isinstance(found, sympy.Float) and number.rounds(Fraction(str(found)))


def operand_of(form: Form) -> Operand | None:
    """The formula or matrix of a form."""
    if isinstance(form, Matrix):
        read = [[expression_of(cell) for cell in row] for row in form.rows]
        cells = [[cell for cell in row if cell is not None] for row in read]
        if list(map(len, cells)) != list(map(len, read)) or len(set(map(len, cells))) != 1:
            return None
        return ImmutableMatrix(cells)
    if not isinstance(form, Value):
        return None
    if form.number:
        return Rational(form.number.value.numerator, form.number.value.denominator)
    return formula(form.text)


def expression_of(form: Form) -> Expr | None:
    """The formula of a value, whatever its unit."""
    if not isinstance(form, Value):
        return None
    if form.number:
        return Rational(form.number.value.numerator, form.number.value.denominator)
    return expression(form.text)


def approximates(exact: Form, rounded: Form) -> bool:
    r"""Whether `exact \approx rounded` holds to the places that the rounded side has."""
    ours, theirs = expression_of(exact), expression_of(rounded)
    if ours is None or theirs is None:
        return False
    if equal_formulas(ours, theirs):
        return True
    if ours.free_symbols or theirs.free_symbols or not isinstance(rounded, Value) or not rounded.number:
        return False
    gap = abs((ours - theirs).evalf(30))
    decimals = rounded.number.decimals
    closeness = Rational(10) ** -decimals if decimals else Rational(1, 2)
    return bool(gap <= closeness) and bool(gap <= abs(theirs) / 20)


def has_units(form: Form) -> bool:
    """Whether a unit stands anywhere in a form."""
    return bool(isinstance(form, Value) and form.unit) or any(map(has_units, parts_of(form)))


def without_units(form: Form) -> Form:
    """A relation or list of relations without its units, which are left out elsewhere."""
    if isinstance(form, Value):
        return replace(form, unit=None)
    if isinstance(form, Relation):
        return replace(form, sides=tuple(map(without_units, form.sides)))
    if isinstance(form, UnorderedList):
        return replace(form, items=tuple(map(without_units, form.items)))
    return form
