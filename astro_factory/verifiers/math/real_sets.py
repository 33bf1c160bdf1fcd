r"""Sets of real numbers, however written: intervals, unions, inequalities in one variable, all reals but some.

`(2, \infty)`, `x > 2`, `\{x : x > 2\}` and `]2, \infty[` are one region.
"""

from collections.abc import Callable, Sequence
from functools import cmp_to_key, reduce
from typing import NamedTuple

import sympy
from sympy import Abs, Expr, Rational, Symbol, oo

from astro_factory.verifiers.math.answer_types import (
    Difference,
    FiniteSet,
    Form,
    Intersection,
    NamedSet,
    Relation,
    TupleOrInterval,
    Union,
    UnorderedList,
    Value,
)
from astro_factory.verifiers.math.symbolic import equal_numbers, expression


class Span(NamedTuple):
    """An interval; a single point is closed at both ends, which are equal."""

    low: Expr
    high: Expr
    low_open: bool
    high_open: bool


Region = list[Span]
_ALL: Region = [Span(-oo, oo, True, True)]
_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
ORDER = frozenset((*_FLIPPED, r"\ne"))
_MAX_DEGREE = 6


def is_region(form: Form) -> bool:
    """Whether it can hardly be anything else: a union, an inequality, an interval that is no tuple."""
    if isinstance(form, Union | Intersection | Difference) or (isinstance(form, NamedSet) and form.name in "R0"):
        return True
    if isinstance(form, Relation):
        return form.signs[0] in ORDER
    if isinstance(form, UnorderedList):
        return any(is_region(item) for item in form.items)
    if not isinstance(form, TupleOrInterval) or len(form.items) != 2:
        return False
    ends = [item.text if isinstance(item, Value) else "" for item in form.items]
    return "[" in form.opening or "]" in form.closing or any(r"\infty" in end for end in ends)


def region_of(form: Form) -> Region | None:
    """The real numbers that a form describes, in disjoint spans from left to right; None where it describes none."""
    spans = _spans(form)
    return None if spans is None else _merged(spans)


def equal_regions(first: Region, second: Region) -> bool:
    """Both are merged, so they are equal only span by span."""
    return len(first) == len(second) and all(
        ours.low_open == theirs.low_open
        and ours.high_open == theirs.high_open
        and equal_numbers(ours.low, theirs.low)
        and equal_numbers(ours.high, theirs.high)
        for ours, theirs in zip(first, second, strict=True)
    )


def variables_agree(first: Form, second: Form) -> bool:
    """Whether they do not speak of different variables; an interval names none."""
    ours, theirs = variables(first), variables(second)
    return not ours or not theirs or ours == theirs


def variables(form: Form) -> set[str]:
    """The names in the relations of a form."""
    if isinstance(form, UnorderedList):
        items: Sequence[Form] = form.items
    else:
        items = form.parts if isinstance(form, Union | Intersection) else (form,)
    found: set[str] = set()
    for item in items:
        for side in item.sides if isinstance(item, Relation) else ():
            formula = expression(side.text) if isinstance(side, Value) and not side.number else None
            found |= {str(name) for name in formula.free_symbols} if formula is not None else set()
    return found


def _spans(form: Form) -> Region | None:
    if isinstance(form, NamedSet):
        return {"R": _ALL, "0": []}.get(form.name)
    if isinstance(form, TupleOrInterval):
        return _interval(form)
    if isinstance(form, Relation):
        return _inequality(form)
    if isinstance(form, Difference):
        whole, without = _spans(form.whole), _spans(form.without)
        return None if whole is None or without is None else _without(whole, without)
    if isinstance(form, FiniteSet):
        points = [_end(item) for item in form.items]
        return [_point(point) for point in points if point is not None] if None not in points else None
    if isinstance(form, Union | Intersection | UnorderedList):
        parts = [_spans(part) for part in (form.items if isinstance(form, UnorderedList) else form.parts)]
        read = [part for part in parts if part is not None]
        if len(read) < len(parts):
            return None
        if isinstance(form, UnorderedList):
            return _together(form, read)
        return reduce(_intersection, read) if isinstance(form, Intersection) else _joined(read)
    return None


def _together(form: UnorderedList, parts: list[Region]) -> Region | None:
    """Inequalities side by side.

    With `or` either holds and with `and` both do, but where both never do, `and` was meant as `or`
    (`x < 1 and x > 3`). With a comma both hold where that leaves one interval, else either does.
    """
    if len(variables(form)) > 1:
        return None
    common = reduce(_intersection, parts)
    if form.joined == r"\lor" or not common:
        return _joined(parts)
    all_unequal = all(isinstance(item, Relation) and item.signs == (r"\ne",) for item in form.items)
    relations = all(isinstance(item, Relation) for item in form.items)
    if form.joined == r"\land" or all_unequal or (relations and len(common) == 1):
        return common
    return _joined(parts)


def _joined(parts: list[Region]) -> Region:
    return [span for part in parts for span in part]


def _point(at: Expr) -> Span:
    return Span(at, at, False, False)


def _interval(group: TupleOrInterval) -> Region | None:
    if len(group.items) != 2 or group.opening not in ("(", "[") or group.closing not in (")", "]"):
        return None
    low, high = map(_end, group.items)
    if low is None or high is None or not _below(low, high):
        return None
    return [Span(low, high, group.opening == "(", group.closing == ")")]


def _inequality(relation: Relation) -> Region | None:
    r"""`a < x <= b`, `x > a`, `a > x`, `x \ne a`, `|x - a| < b`, `x^2 > 4`."""
    at = next((index for index, side in enumerate(relation.sides) if _is_variable(side)), None)
    if at is None:
        return _solved(relation) if len(relation.sides) == 2 else None
    ends = [None if index == at else _end(side) for index, side in enumerate(relation.sides)]
    if len(ends) > 3 or ends.count(None) > 1:
        return _solved(relation) if len(relation.sides) == 2 else None
    spans = _ALL
    for index, sign in enumerate(relation.signs):
        sign, end = (sign, ends[index + 1]) if index == at else (_FLIPPED.get(sign, sign), ends[index])
        if end is None:  # not beside the variable
            return None
        spans = _intersection(spans, _half(sign, end))
    return spans


def _half(sign: str, end: Expr) -> Region:
    """The numbers on one side of an end."""
    if sign == r"\ne":
        return _without(_ALL, [_point(end)])
    if sign in ("<", r"\le"):
        return [Span(-oo, end, True, sign == "<")]
    return [Span(end, oo, sign == ">", True)] if sign in (">", r"\ge") else [_point(end)]


def _solved(relation: Relation) -> Region | None:
    """An inequality in one variable, solved between the zeros of its two sides' difference."""
    sides = [_formula(side) for side in relation.sides]
    sign = relation.signs[0]
    if sides[0] is None or sides[1] is None or sign not in ORDER:
        return None
    difference = sides[0] - sides[1]
    names = list(difference.free_symbols)
    if len(names) != 1 or not _is_solvable(difference, names[0]):
        return None
    real = Symbol("x", real=True)
    relational = {"<": sympy.Lt, ">": sympy.Gt, r"\le": sympy.Le, r"\ge": sympy.Ge, r"\ne": sympy.Ne}[sign]
    found = sympy.solve_univariate_inequality(
        relational(difference.xreplace({names[0]: real}), 0), real, relational=False, domain=sympy.S.Reals
    )
    return _from_set(found)


def _is_solvable(formula: Expr, name: Symbol) -> bool:
    """A polynomial of low degree, perhaps with one absolute value or quotient of such ones."""
    if formula.has(*(kind for kind in (sympy.sin, sympy.cos, sympy.tan, sympy.exp, sympy.log, sympy.floor))):
        return False
    plain = formula.replace(Abs, lambda inside: inside)
    above, below = sympy.fraction(sympy.together(plain))
    parts = [above, below]
    return all(part.is_polynomial(name) and sympy.degree(part, name) <= _MAX_DEGREE for part in parts)


def _from_set(found: sympy.Set) -> Region | None:
    if found is sympy.S.Reals:
        return _ALL
    if found is sympy.S.EmptySet:
        return []
    if isinstance(found, sympy.Interval):
        return [Span(found.start, found.end, bool(found.left_open), bool(found.right_open))]
    if isinstance(found, sympy.FiniteSet):
        return [_point(point) for point in found]
    if isinstance(found, sympy.Union):
        parts = [_from_set(part) for part in found.args]
        read = [part for part in parts if part is not None]
        return _joined(read) if len(read) == len(parts) else None
    return None


def _is_variable(form: Form) -> bool:
    return isinstance(form, Value) and not form.number and isinstance(expression(form.text), Symbol)


def _formula(form: Form) -> Expr | None:
    if not isinstance(form, Value) or form.unit or form.percent:
        return None
    if form.number:
        return Rational(form.number.value.numerator, form.number.value.denominator)
    return expression(form.text)


def _end(form: Form) -> Expr | None:
    """A constant that an interval ends at."""
    found = _formula(form)
    if found is None or found.free_symbols:
        return None
    return found if found.is_extended_real or found.evalf(20).is_extended_real else None


def _merged(spans: Region) -> Region:
    """Disjoint spans from left to right."""
    merged: Region = []
    for span in sorted(spans, key=cmp_to_key(_starts_before)):
        last = merged[-1] if merged else None
        if last is None or not _touch(last, span):
            merged.append(span)
        elif _below(last.high, span.high):
            merged[-1] = Span(last.low, span.high, last.low_open, span.high_open)
        elif equal_numbers(last.high, span.high):
            merged[-1] = last._replace(high_open=last.high_open and span.high_open)
    return merged


def _touch(left: Span, right: Span) -> bool:
    if _below(right.low, left.high):
        return True
    return equal_numbers(right.low, left.high) and not (right.low_open and left.high_open)


def _starts_before(first: Span, second: Span) -> int:
    if equal_numbers(first.low, second.low):
        return int(first.low_open) - int(second.low_open)
    return -1 if _below(first.low, second.low) else 1


def _intersection(first: Region, second: Region) -> Region:
    common: Region = []
    for ours in first:
        for theirs in second:
            low, low_open = _inner((ours.low, ours.low_open), (theirs.low, theirs.low_open), _below)
            high, high_open = _inner((ours.high, ours.high_open), (theirs.high, theirs.high_open), _above)
            if _below(low, high) or (equal_numbers(low, high) and not low_open and not high_open):
                common.append(Span(low, high, low_open, high_open))
    return common


def _inner(
    first: tuple[Expr, bool], second: tuple[Expr, bool], outside: Callable[[Expr, Expr], bool]
) -> tuple[Expr, bool]:
    """The end of two that lies further inside; of equal ones an open one."""
    if equal_numbers(first[0], second[0]):
        return first[0], first[1] or second[1]
    return second if outside(first[0], second[0]) else first


def _without(spans: Region, removed: Region) -> Region:
    outside = _ALL
    for span in removed:
        sides = [Span(-oo, span.low, True, not span.low_open), Span(span.high, oo, not span.high_open, True)]
        outside = _intersection(outside, [side for side in sides if side.low != side.high])
    return _intersection(spans, outside)


def _below(first: Expr, second: Expr) -> bool:
    if first == second or first is oo or second is -oo:
        return False
    if first is -oo or second is oo:
        return True
    return not equal_numbers(first, second) and bool((second - first).evalf(10) > 0)


def _above(first: Expr, second: Expr) -> bool:
    return _below(second, first)
