r"""Sets of real numbers, however written: intervals, unions, inequalities in one variable, all reals but some.

`(2, \infty)`, `x > 2`, `\{x : x > 2\}` and `]2, \infty[` are one region.
"""

from typing import NamedTuple

from sympy import Abs, Expr, Rational, oo

from astro_factory.verifiers.math.answer_types import (
    Difference,
    FiniteSet,
    Form,
    NamedSet,
    Relation,
    TupleOrInterval,
    Union,
    UnorderedList,
    Value,
)
from astro_factory.verifiers.math.symbolic import equal_formulas, formula


class Span(NamedTuple):
    """An interval; a single point is closed at both ends, which are equal."""

    low: Expr
    high: Expr
    low_open: bool
    high_open: bool


Region = list[Span]
_ALL: Region = [Span(-oo, oo, True, True)]


def is_region(form: Form) -> bool:
    """Whether it can hardly be anything else: a union, an inequality, an interval that is no tuple."""
    if isinstance(form, Union | Difference) or (isinstance(form, NamedSet) and form.name in "R0"):
        return True
    if isinstance(form, Relation):
        return form.signs[0] != "="
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
        and _equal(ours.low, theirs.low)
        and _equal(ours.high, theirs.high)
        for ours, theirs in zip(first, second, strict=True)
    )


def variables_agree(first: Form, second: Form) -> bool:
    """Whether they do not speak of different variables; an interval names none."""
    ours, theirs = _variables(first), _variables(second)
    return not ours or not theirs or ours == theirs


def _variables(form: Form) -> set[str]:
    items = form.items if isinstance(form, UnorderedList) else form.parts if isinstance(form, Union) else (form,)
    return {name for item in items for name in _names(item)}


def _spans(form: Form) -> Region | None:
    if isinstance(form, NamedSet):
        return {"R": _ALL, "0": []}.get(form.name)
    if isinstance(form, TupleOrInterval):
        return _interval(form)
    if isinstance(form, Relation):
        return _inequality(form)
    if isinstance(form, FiniteSet):
        points = [_end(item) for item in form.items]
        return None if None in points else [Span(point, point, False, False) for point in points]
    if isinstance(form, Difference):
        return _without(_spans(form.whole), _spans(form.without))
    if isinstance(form, Union | UnorderedList):
        parts = [_spans(part) for part in (form.parts if isinstance(form, Union) else form.items)]
        if None in parts:
            return None
        if isinstance(form, UnorderedList):
            return _together(form, parts)
        return [span for part in parts for span in part]
    return None


def _together(form: UnorderedList, parts: list[Region]) -> Region | None:
    """Inequalities side by side: both hold where they overlap (`x > 1, x < 3`), else either does (`x < 1, x > 3`)."""
    if len(_variables(form)) > 1:
        return None
    common = parts[0]
    for part in parts[1:]:
        common = _intersection(common, part)
    if form.joined == r"\land" or (common and all(isinstance(item, Relation) for item in form.items)):
        both_not = all(isinstance(item, Relation) and item.signs == (r"\ne",) for item in form.items)
        if form.joined == r"\land" or both_not or len(common) == 1:
            return common
    return [span for part in parts for span in part]


def _names(form: Form) -> set[str]:
    if not isinstance(form, Relation):
        return set()
    found = (formula(side.text) for side in form.sides if isinstance(side, Value) and not side.number)
    return {str(name) for expression in found if expression is not None for name in expression.free_symbols}


def _interval(group: TupleOrInterval) -> Region | None:
    if len(group.items) != 2 or group.opening not in "([" or group.closing not in ")]":
        return None
    low, high = map(_end, group.items)
    if low is None or high is None or not _below(low, high):
        return None
    return [Span(low, high, group.opening == "(", group.closing == ")")]


def _inequality(relation: Relation) -> Region | None:
    """`a < x <= b`, `x > a`, `a > x`, `x \\ne a`."""
    if len(relation.sides) == 2 and (spans := _distance(*relation.sides, relation.signs[0])) is not None:
        return spans
    at = next((index for index, side in enumerate(relation.sides) if _is_variable(side)), None)
    if at is None or len(relation.sides) > 3:
        return None
    ends = [None if index == at else _end(side) for index, side in enumerate(relation.sides)]
    if any(end is None for index, end in enumerate(ends) if index != at):
        return None
    spans = _ALL
    for index, sign in enumerate(relation.signs):
        sign, end = (sign, ends[index + 1]) if index == at else (_TURNED.get(sign, sign), ends[index])
        if end is None:
            return None
        if sign == r"\ne":
            spans = _without(spans, [Span(end, end, False, False)])
        elif sign in ("<", r"\le"):
            spans = _intersection(spans, [Span(-oo, end, True, sign == "<")])
        elif sign in (">", r"\ge"):
            spans = _intersection(spans, [Span(end, oo, sign == ">", True)])
        else:
            spans = _intersection(spans, [Span(end, end, False, False)])
    return spans


def _distance(left: Form, right: Form, sign: str) -> Region | None:
    """`|x - a| < b`, `|x - a| >= b`."""
    found = formula(left.text) if isinstance(left, Value) and not left.number else None
    end = _end(right)
    if not isinstance(found, Abs) or end is None or sign not in _TURNED or not _below(Rational(0), end):
        return None
    names = found.free_symbols
    inside = found.args[0]
    slope = inside.diff(*names) if len(names) == 1 else None
    if slope is None or slope.free_symbols or not slope:
        return None
    middle, reach = -inside.subs({names.pop(): 0}) / slope, end / abs(slope)
    within = sign in ("<", r"\le")
    span = Span(middle - reach, middle + reach, sign in ("<", r"\ge"), sign in ("<", r"\ge"))
    return [span] if within else _without(_ALL, [span])


_TURNED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}


def _is_variable(form: Form) -> bool:
    found = formula(form.text) if isinstance(form, Value) and not form.number else None
    return found is not None and found.is_Symbol


def _end(form: Form) -> Expr | None:
    """A constant that an interval ends at."""
    if not isinstance(form, Value):
        return None
    if form.number:
        return Rational(form.number.value.numerator, form.number.value.denominator)
    found = formula(form.text)
    if found is None or found.free_symbols:
        return None
    return found if found.is_extended_real or found.evalf(20).is_extended_real else None


def _merged(spans: Region) -> Region:
    merged: Region = []
    for span in sorted(spans, key=lambda span: (_order(span.low), span.low_open)):
        last = merged[-1] if merged else None
        touching = last and (
            _below(span.low, last.high) or (_equal(span.low, last.high) and not (span.low_open and last.high_open))
        )
        if not touching:
            merged.append(span)
        elif _below(last.high, span.high):
            merged[-1] = Span(last.low, span.high, last.low_open, span.high_open)
        elif _equal(last.high, span.high):
            merged[-1] = last._replace(high_open=last.high_open and span.high_open)
    return merged


def _intersection(first: Region, second: Region) -> Region:
    common = []
    for ours in first:
        for theirs in second:
            low, low_open = _later((ours.low, ours.low_open), (theirs.low, theirs.low_open))
            high, high_open = _earlier((ours.high, ours.high_open), (theirs.high, theirs.high_open))
            if _below(low, high) or (_equal(low, high) and not low_open and not high_open):
                common.append(Span(low, high, low_open, high_open))
    return common


def _later(first: tuple[Expr, bool], second: tuple[Expr, bool]) -> tuple[Expr, bool]:
    if _equal(first[0], second[0]):
        return first[0], first[1] or second[1]
    return second if _below(first[0], second[0]) else first


def _earlier(first: tuple[Expr, bool], second: tuple[Expr, bool]) -> tuple[Expr, bool]:
    if _equal(first[0], second[0]):
        return first[0], first[1] or second[1]
    return first if _below(first[0], second[0]) else second


def _without(spans: Region | None, removed: Region | None) -> Region | None:
    if spans is None or removed is None:
        return None
    outside = _ALL
    for span in removed:
        sides = [Span(-oo, span.low, True, not span.low_open), Span(span.high, oo, not span.high_open, True)]
        outside = _intersection(outside, sides)
    return _intersection(spans, outside)


def _order(end: Expr) -> float:
    return float(end)


def _below(first: Expr, second: Expr) -> bool:
    return not _equal(first, second) and _order(first) < _order(second)


def _equal(first: Expr, second: Expr) -> bool:
    return first == second or (not first.is_infinite and not second.is_infinite and equal_formulas(first, second))
