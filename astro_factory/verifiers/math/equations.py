r"""Equations and chains of them: what value they state, and when two of them are the same.

`x = 3` names a value, `\frac{15}{20} = \frac34 \approx 0.75` writes one in several ways, `y = 2x + 1` is a curve. The
sides of a chain have to agree, so `x = 6 = 5` states no value.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from sympy import Abs, Expr, Function, Mul, Symbol

from astro_factory.verifiers.math.answer_types import Form, Relation, TupleOrInterval, UnorderedList, Value, Words
from astro_factory.verifiers.math.quantities import approximates, expression_of, has_units, without_units
from astro_factory.verifiers.math.symbolic import expression, proportional, same_curve

Same = Callable[[Form, Form], bool]
_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
_NAMING = (r"\text", r"\angle", r"\overline", r"\triangle", r"\widehat")
_CALL = re.compile(r"[A-Z](?:_\{\w{1,9}\})? ?\([^()]*(?:\([^()]*\)[^()]*){0,4}\)")
"""`P(X = 2)`, whose bracket holds no formula."""


class ChainValues(NamedTuple):
    """What a chain states: the values that are equal, and those that are only about so."""

    exact: list[Form]
    rounded: list[Form]

    def all(self) -> list[Form]:
        return self.exact + self.rounded

    def last(self) -> Form:
        return self.exact[-1] if self.exact else self.rounded[-1]


def chain_values(relation: Relation, same: Same, totals: bool = False) -> ChainValues | None:
    r"""The sides of `name = value = value \approx value`; None where they disagree or state no single value.

    `totals` takes `m + n = 204` for a value, too.
    """
    if not set(relation.signs) <= {"=", "~"} or relation.modulus:
        return _residue(relation)
    sides, signs = list(relation.sides), list(relation.signs)
    exact: list[Form] = []
    rounded: list[Form] = []
    if is_name(sides[0]) or (totals and _is_total(sides[0], sides[-1])):
        first = sides[1]
        is_rounded = signs[0] == "~" and isinstance(first, Value) and first.number is not None
        (rounded if is_rounded else exact).append(first)
        sides, signs = sides[1:], signs[1:]
    else:
        exact.append(sides[0])
        if _is_function(sides[-1]):
            sides, signs = sides[:-1], signs[:-1]
    previous = sides[0]
    for sign, side in zip(signs, sides[1:], strict=True):
        if sign == "=" and same(previous, side):
            (rounded if rounded else exact).append(side)
        elif sign == "~" and approximates(previous, side):
            rounded.append(side)
        else:
            return None
        previous = side
    return ChainValues(exact, rounded)


def _residue(relation: Relation) -> ChainValues | None:
    """`3` of `x \\equiv 3 \\pmod 7`."""
    if relation.modulus and len(relation.sides) == 2 and is_name(relation.sides[0]):
        return ChainValues([relation.sides[1]], [])
    return None


def is_name(form: Form) -> bool:
    """Whether it is the name of a value: a symbol, a call, words, a tuple of names."""
    if isinstance(form, Words):
        return True
    if isinstance(form, TupleOrInterval):
        return all(map(is_name, form.items))
    if not isinstance(form, Value) or form.number or form.unit or form.percent:
        return False
    found = expression(form.text)
    if found is None:
        return form.text.startswith(_NAMING) or _CALL.fullmatch(form.text) is not None
    if isinstance(found, Abs):
        found = found.args[0]
    segment = isinstance(found, Mul) and all(isinstance(part, Symbol) and part.name.isupper() for part in found.args)
    return isinstance(found, Symbol) or segment or _is_function(form)


def _is_function(form: Form) -> bool:
    r"""`\sin x`: a function of a name."""
    found = expression_of(form) if isinstance(form, Value) else None
    if found is None or not found.free_symbols:
        return False
    return isinstance(found, Function) or (isinstance(found, Symbol) and found.name.endswith(")"))


def _is_total(first: Form, last: Form) -> bool:
    """Whether `first = last` says what a sum or product of names is: `m + n = 204`."""
    left, right = expression_of(first), expression_of(last)
    if left is None or right is None or right.free_symbols or right == 0 or len(left.free_symbols) < 2:
        return False
    return all(isinstance(part, Symbol) for part in left.args)


def named_in_order(form: Form, group: TupleOrInterval) -> tuple[Form, ...] | None:
    """The values of `y = 2, x = 1` in the order of their names; None for anything else."""
    if not isinstance(form, UnorderedList) or len(form.items) != len(group.items) or form.joined == r"\lor":
        return None
    named: dict[str, Form] = {}
    for item in form.items:
        if not isinstance(item, Relation) or set(item.signs) > {"=", "~"} or not is_name(item.sides[0]):
            return None
        name = item.sides[0]
        named[name.text if isinstance(name, Value | Words) else str(name)] = item.sides[-1]
    if len(named) != len(group.items):
        return None
    letters = all(len(name) == 1 for name in named)
    return tuple(named[name] for name in (sorted(named) if letters else named))


def same_relation(gold: Relation, answer: Relation, same: Same) -> bool:
    """The same sides, or the same solutions in that one is a multiple of the other; named values by their names."""
    if has_units(gold) != has_units(answer):
        gold, answer = _bare(gold), _bare(answer)
    if gold.modulus or answer.modulus:
        return gold.modulus == answer.modulus and _same_residue(gold, answer, same)
    if len(gold.sides) > 2 or len(answer.sides) > 2:
        return _same_chain(gold, answer, same) or _same_sides(gold, answer, same)
    if gold.signs == answer.signs == ("=",) and (names := _named_pair(gold, answer, same)) is not None:
        return names
    return _same_sides(gold, answer, same) or _same_solutions(gold, answer)


def _bare(relation: Relation) -> Relation:
    found = without_units(relation)
    return found if isinstance(found, Relation) else relation


def _named_pair(gold: Relation, answer: Relation, same: Same) -> bool | None:
    """Two values of one name are compared as values, so that `x = 50\\%` meets `x = 0.5`; None for anything else."""
    if not (is_name(gold.sides[0]) and is_name(answer.sides[0]) and same(gold.sides[0], answer.sides[0])):
        return None
    return True if same(gold.sides[1], answer.sides[1]) else None


def _same_chain(gold: Relation, answer: Relation, same: Same) -> bool:
    """Chains of equalities state the same value, under the same name where both have one."""
    ours, theirs = chain_values(gold, same), chain_values(answer, same)
    if ours is None or theirs is None:
        return False
    names = [relation.sides[0] for relation in (gold, answer) if is_name(relation.sides[0])]
    if len(names) == 2 and not same(*names):
        return False
    return any(same(one, other) for one in ours.exact or ours.rounded for other in theirs.exact or theirs.rounded)


def _same_residue(gold: Relation, answer: Relation, same: Same) -> bool:
    if len(gold.sides) != 2 or len(answer.sides) != 2 or not same(gold.sides[0], answer.sides[0]):
        return False
    ours, theirs = expression_of(gold.sides[1]), expression_of(answer.sides[1])
    if ours is not None and theirs is not None and gold.modulus.isdigit() and (ours - theirs).is_Integer:
        return int(ours - theirs) % int(gold.modulus) == 0 if int(gold.modulus) else ours == theirs
    return same(gold.sides[1], answer.sides[1])


def _same_sides(gold: Relation, answer: Relation, same: Same) -> bool:
    turned = tuple(_FLIPPED.get(sign, sign) for sign in reversed(answer.signs))
    return any(
        gold.signs == signs and len(gold.sides) == len(sides) and all(map(same, gold.sides, sides))
        for signs, sides in ((answer.signs, answer.sides), (turned, tuple(reversed(answer.sides))))
    )


def _same_solutions(gold: Relation, answer: Relation) -> bool:
    sign, other = gold.signs[0], answer.signs[0]
    ours, theirs = _balance(gold), _balance(answer)
    if ours is None or theirs is None:
        return False
    if sign in ("=", r"\ne"):
        return sign == other and (proportional(ours, theirs, positive=False) or same_curve(ours, theirs))
    if sign not in _FLIPPED:
        return False
    if other == sign and proportional(ours, theirs, positive=True):
        return True
    return _FLIPPED[sign] == other and proportional(ours, -theirs, positive=True)


def _balance(relation: Relation) -> Expr | None:
    """Left side minus right side, of formulas without units."""
    if len(relation.sides) != 2 or has_units(relation):
        return None
    left, right = map(expression_of, relation.sides)
    return None if left is None or right is None else left - right
