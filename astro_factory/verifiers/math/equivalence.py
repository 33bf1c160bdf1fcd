r"""Whether two answers are the same, by their forms. Runs in the processes of the `math` verifier.

The gold answer says what is wanted: a gold `(1, 2)` is met by the pair or by the open interval, written in any way, but
by no set; a gold `x = 3` is met by `3`, and a gold `3` by `x = 3`; a gold `5 cm` is met by `5`, not by `5 m`.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

from sympy import Expr, Rational

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
    Value,
    Words,
)
from astro_factory.verifiers.math.numbers_and_units import Number, as_numeral, conversion, named_number, units_agree
from astro_factory.verifiers.math.real_sets import equal_regions, is_region, region_of, variables_agree
from astro_factory.verifiers.math.symbolic import equal_formulas, formula, proportional

_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", "=": "=", r"\ne": r"\ne"}
_NAMING = (r"\text", r"\angle", r"\overline", r"\operatorname", r"\sin", r"\cos", r"\tan", r"\triangle")
_HUNDREDTH = Fraction(1, 100)


def same(gold: Form, answer: Form) -> bool:
    """Whether the answer is right; not symmetric only where one side names what the other leaves out."""
    if gold == answer:
        return True
    gold, answer = _unwrapped(gold, answer)
    if gold == answer:
        return True
    if isinstance(answer, UnorderedList) and not isinstance(
        gold, UnorderedList | FiniteSet | TupleOrInterval | Relation | Union
    ):
        distinct = _distinct(answer.items)
        if len(distinct) == 1:  # 3/5 or 0.6
            return same(gold, distinct[0])
    if _is_chain(answer) and not isinstance(gold, Relation):
        return any(same(gold, side) for side in answer.sides)
    if _is_one(gold) and _is_one(answer):
        return _same_value(_inner(gold), _inner(answer))
    if (is_region(gold) or is_region(answer)) and variables_agree(gold, answer):
        ours, theirs = region_of(gold), region_of(answer)
        if ours is not None and theirs is not None:
            return equal_regions(ours, theirs)
    for kinds, compare in _COMPARISONS:
        if isinstance(gold, kinds[0]) and isinstance(answer, kinds[1]):
            return compare(gold, answer)
    return False


def _unwrapped(gold: Form, answer: Form) -> tuple[Form, Form]:
    """Both without `x =` where only one of them has it, and named values as a tuple where the gold answer is one."""
    if isinstance(gold, TupleOrInterval) and (values := _in_name_order(answer, len(gold.items))):
        return gold, TupleOrInterval(gold.opening, values, gold.closing)
    if isinstance(answer, TupleOrInterval) and (values := _in_name_order(gold, len(answer.items))):
        return TupleOrInterval(answer.opening, values, answer.closing), answer
    gold, answer = (_one_by_one(form, other) for form, other in ((gold, answer), (answer, gold)))
    if not _is_relation(gold):
        answer = _without_name(answer)
    elif not _is_relation(answer):
        gold = _without_name(gold)
    elif _assigned(gold) and _assigned(answer):
        gold, answer = _last(gold), _last(answer)
    return gold, answer


def _one_by_one(form: Form, other: Form) -> Form:
    """`x = 1, y = 2` for `(x, y) = (1, 2)`, where that is how the other answer is written."""
    if not (_assigned(form) and isinstance(form.sides[0], TupleOrInterval) and isinstance(other, UnorderedList)):
        return form
    names, values = form.sides[0], form.sides[-1]
    if not isinstance(values, TupleOrInterval) or len(values.items) != len(names.items):
        return form
    return UnorderedList(tuple(Relation(pair, ("=",)) for pair in zip(names.items, values.items, strict=True)))


def _is_relation(form: Form) -> bool:
    return isinstance(form, Relation) or (
        isinstance(form, UnorderedList) and all(isinstance(item, Relation) for item in form.items)
    )


def _without_name(form: Form) -> Form:
    """`3` for `x = 3`, `1, 2` for `x = 1, x = 2`."""
    if isinstance(form, UnorderedList):
        items: list[Form] = []
        for item in form.items:
            item = _without_name(item)
            items.extend(item.items if isinstance(item, UnorderedList) else [item])
        return UnorderedList(tuple(items), form.joined)
    if not isinstance(form, Relation) or not set(form.signs) <= {"=", "~"}:
        return form
    first, last = form.sides[0], form.sides[-1]
    if _is_name(first) or _is_total(first, last):
        return last
    if _is_function(last):
        return first
    return form


def _is_total(first: Form, last: Form) -> bool:
    """Whether `first = last` says what a sum or product of unknowns is: `m + n = 204`."""
    left, right = (_formula(side) if isinstance(side, Value) else None for side in (first, last))
    if left is None or right is None or right.free_symbols or not right:
        return False
    return bool(left.free_symbols) and all(part.is_Symbol for part in left.args)


def _assigned(form: Form) -> bool:
    """Whether it is `name = ...`, where the name is a symbol, a function of symbols, words, or a tuple of symbols."""
    return isinstance(form, Relation) and set(form.signs) <= {"=", "~"} and _is_name(form.sides[0])


def _is_name(form: Form) -> bool:
    if isinstance(form, Words):
        return True
    if isinstance(form, TupleOrInterval):
        return all(_is_name(item) for item in form.items)
    if not isinstance(form, Value) or form.number or form.unit:
        return False
    if form.text.startswith(_NAMING):
        return True
    found = formula(form.text)
    if found is None:
        return form.text.startswith("|")
    names = found.is_Symbol or _is_function(form)
    return names or (found.is_Mul and all(part.is_Symbol and part.name.isupper() for part in found.args))


def _is_function(form: Form) -> bool:
    """`f(x)`, `P(A)`, `\\sin x`: a name with an argument."""
    found = _formula(form) if isinstance(form, Value) else None
    return found is not None and found.is_Function and bool(found.free_symbols)


def _last(form: Form) -> Form:
    """A chain of equalities as its name and its last side."""
    return Relation((form.sides[0], form.sides[-1]), ("=",))


def _in_name_order(form: Form, count: int) -> tuple[Form, ...] | None:
    """The values of `y = 2, x = 1` in the order of their names; None for anything else."""
    if not (isinstance(form, UnorderedList) and len(form.items) == count and all(map(_assigned, form.items))):
        return None
    named = {item.sides[0].text if isinstance(item.sides[0], Value) else "": item.sides[-1] for item in form.items}
    letters = all(len(name) == 1 for name in named)
    return tuple(named[name] for name in (sorted(named) if letters else named)) if len(named) == count else None


def _is_chain(form: Form) -> bool:
    """One constant written in several ways: `15/20 = 3/4`, `\\sqrt{13} \\approx 3.606`."""
    if not isinstance(form, Relation) or not set(form.signs) <= {"=", "~"}:
        return False
    sides = [_formula(side) if isinstance(side, Value) else None for side in form.sides]
    if any(side is None or side.free_symbols for side in sides):
        return False
    return all(
        sign == "~" or equal_formulas(left, right)
        for sign, left, right in zip(form.signs, sides, sides[1:], strict=False)
    ) and all(sign == "=" for sign in form.signs[:-1])


def _is_one(form: Form) -> bool:
    return isinstance(form, Value | Words) or (
        isinstance(form, FiniteSet) and len(form.items) == 1 and isinstance(form.items[0], Value | Words)
    )


def _inner(form: Form) -> Form:
    return form.items[0] if isinstance(form, FiniteSet) else form


def _same_value(gold: Form, answer: Form) -> bool:
    if isinstance(gold, Words) or isinstance(answer, Words):
        ours, theirs = (_in_figures(form) for form in (gold, answer))
        return ours.equals(theirs) if ours and theirs else _letters(gold) == _letters(answer)
    if not units_agree(gold.unit, answer.unit):
        factor = conversion(answer.unit, gold.unit)
        if factor is None or not gold.number or not answer.number:
            return False
        return gold.number.value == answer.number.value * factor
    if numerals := _numerals(gold, answer):
        return numerals[0] == numerals[1]
    if gold.percent == answer.percent:
        return _same_quantity(gold, answer)
    if _same_quantity(gold, answer):  # the sign is left out, as a unit may be
        return True
    ours, theirs = (_scaled(value) if value.percent else value for value in (gold, answer))
    return _same_quantity(ours, theirs)


def _in_figures(form: Form) -> Number | None:
    return named_number(form.text) if isinstance(form, Words) else form.number


def _letters(form: Form) -> str:
    text = form.text if isinstance(form, Words | Value) else ""
    return text.strip("() .").casefold()


def _numerals(gold: Value, answer: Value) -> tuple | None:
    """Numerals of a base, compared by digits; a base that is left out is the other's."""
    ours, theirs = as_numeral(gold.text), as_numeral(answer.text)
    if ours is None and theirs is None:
        return None
    bare = next((value.text.strip() for value, numeral in ((gold, ours), (answer, theirs)) if numeral is None), "")
    base = (ours or theirs)[1]
    return ours or (bare, base), theirs or (bare, base)


def _scaled(value: Value) -> Value:
    number = value.number.scaled(_HUNDREDTH) if value.number else None
    return Value(rf"\frac{{{value.text}}}{{100}}", number)


def _same_quantity(gold: Value, answer: Value) -> bool:
    if gold.number and answer.number:
        return gold.number.equals(answer.number)
    if gold.text.replace(" ", "") == answer.text.replace(" ", ""):
        return True
    ours, theirs = _formula(gold), _formula(answer)
    if ours is None or theirs is None:
        return False
    if equal_formulas(ours, theirs):
        return True
    for number, value in ((gold.number, theirs), (answer.number, ours)):
        if number and number.places is not None and value.is_number and _rounds(number, value):
            return True
    return False


def _rounds(number: Number, value: Expr) -> bool:
    """Whether a long decimal is the beginning of an irrational value."""
    found = value.evalf(40)
    return bool(found.is_Float) and number.near(Fraction(int(Rational(found).p), int(Rational(found).q)))


def _formula(value: Value) -> Expr | None:
    if value.number:
        return Rational(value.number.value.numerator, value.number.value.denominator)
    return formula(value.text)


def _same_in_order(gold: Sequence[Form], answer: Sequence[Form]) -> bool:
    return len(gold) == len(answer) and all(map(same, gold, answer))


def _same_in_any_order(gold: Sequence[Form], answer: Sequence[Form]) -> bool:
    """Each item of one has its own equal in the other; equality is transitive, so the first match will do."""
    left = list(answer)
    for item in gold:
        found = next((index for index, other in enumerate(left) if same(item, other)), None)
        if found is None:
            return False
        left.pop(found)
    return not left


def _distinct(items: Sequence[Form]) -> list[Form]:
    found: list[Form] = []
    for item in items:
        if not any(same(item, other) for other in found):
            found.append(item)
    return found


def _same_items(gold: Form, answer: Form) -> bool:
    """Lists, which keep what stands twice, and sets, which do not."""
    if isinstance(gold, FiniteSet) or isinstance(answer, FiniteSet):
        return _same_in_any_order(_distinct(gold.items), _distinct(answer.items))
    return _same_in_any_order(gold.items, answer.items)


def _same_tuple(gold: TupleOrInterval, answer: TupleOrInterval) -> bool:
    return _is_tuple(gold) and _is_tuple(answer) and _same_in_order(gold.items, answer.items)


def _is_tuple(group: TupleOrInterval) -> bool:
    """Brackets of three or more items, and round or angle ones of two."""
    return (group.opening, group.closing) in (("(", ")"), ("<", ">")) or (
        (group.opening, group.closing) == ("[", "]") and len(group.items) > 2
    )


def _same_matrix(gold: Matrix, answer: Matrix) -> bool:
    return len(gold.rows) == len(answer.rows) and all(map(_same_in_order, gold.rows, answer.rows))


def _same_vector(gold: Form, answer: Form) -> bool:
    """A tuple against a matrix of one row or one column."""
    group, matrix = (gold, answer) if isinstance(gold, TupleOrInterval) else (answer, gold)
    if not _is_tuple(group) or 1 not in (len(matrix.rows), len(matrix.rows[0])):
        return False
    return _same_in_order(group.items, [cell for row in matrix.rows for cell in row])


def _same_relation(gold: Relation, answer: Relation) -> bool:
    """The same sides, or the same solutions in that one is a multiple of the other."""
    for signs, sides in ((answer.signs, answer.sides), _turned(answer)):
        if gold.signs == signs and _same_in_order(gold.sides, sides):
            return True
        if len(gold.signs) == len(signs) == 1 and gold.signs == signs:
            ours, theirs = _balance(gold.sides), _balance(sides)
            if (
                ours is not None
                and theirs is not None
                and proportional(ours, theirs, gold.signs[0] not in ("=", r"\ne"))
            ):
                return True
    return False


def _turned(relation: Relation) -> tuple[tuple[str, ...], tuple[Form, ...]]:
    return tuple(_FLIPPED[sign] for sign in reversed(relation.signs)), tuple(reversed(relation.sides))


def _balance(sides: Sequence[Form]) -> Expr | None:
    if not all(isinstance(side, Value) for side in sides):
        return None
    left, right = map(_formula, sides)
    return None if left is None or right is None else left - right


def _same_parts(gold: Union, answer: Union) -> bool:
    return _same_in_any_order(gold.parts, answer.parts)


def _same_difference(gold: Difference, answer: Difference) -> bool:
    return same(gold.whole, answer.whole) and same(gold.without, answer.without)


def _same_numbers(gold: NamedSet, answer: NamedSet) -> bool:
    return gold.name == answer.name


_Kinds = tuple[type | tuple[type, ...], type | tuple[type, ...]]
_COMPARISONS: list[tuple[_Kinds, Callable[..., bool]]] = [
    (((UnorderedList, FiniteSet), (UnorderedList, FiniteSet)), _same_items),
    ((TupleOrInterval, TupleOrInterval), _same_tuple),
    ((Matrix, Matrix), _same_matrix),
    ((TupleOrInterval, Matrix), _same_vector),
    ((Matrix, TupleOrInterval), _same_vector),
    ((Relation, Relation), _same_relation),
    ((Union, Union), _same_parts),
    ((Difference, Difference), _same_difference),
    ((NamedSet, NamedSet), _same_numbers),
]
