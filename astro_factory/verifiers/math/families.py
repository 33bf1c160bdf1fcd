"""Answers with a condition behind them: renaming their parameter, and conditions about nothing."""

from dataclasses import replace

from astro_factory.verifiers.math.answer_types import (
    Family,
    FiniteSet,
    Form,
    Relation,
    TupleOrInterval,
    Union,
    UnorderedList,
    Value,
    parts_of,
)
from astro_factory.verifiers.math.latex_normalize import tokens
from astro_factory.verifiers.math.symbolic import expression


def rename(family: Family, old: str, new: str) -> Family:
    """The family with its parameter called otherwise; as it is where the new name is taken."""
    if old == new or new in _names(family.body):
        return family
    return replace(family, body=_renamed(family.body, old, new), parameters=frozenset((new,)))


def unbound(family: Family) -> bool:
    """Whether its condition speaks of no name in the answer, as in `5 if x > 0`."""
    names = _names(family.body)
    spoken = family.parameters | {token for token in tokens(family.condition) if token.isalpha()}
    return not names & spoken


def _names(form: Form) -> set[str]:
    found: set[str] = set().union(*map(_names, parts_of(form)))
    formula = expression(form.text) if isinstance(form, Value) and not form.number else None
    return found | ({str(name) for name in formula.free_symbols} if formula is not None else set())


def _renamed(form: Form, old: str, new: str) -> Form:
    if isinstance(form, Value):
        return replace(form, text="".join(new if token == old else token for token in tokens(form.text)))
    if isinstance(form, Relation):
        return replace(form, sides=tuple(_renamed(side, old, new) for side in form.sides))
    if isinstance(form, UnorderedList | FiniteSet | TupleOrInterval):
        return replace(form, items=tuple(_renamed(item, old, new) for item in form.items))
    if isinstance(form, Union):
        return Union(tuple(_renamed(part, old, new) for part in form.parts))
    return form
