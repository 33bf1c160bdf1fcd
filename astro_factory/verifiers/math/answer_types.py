"""What kinds of answers there are: a value, words, a list, a tuple, a set, a matrix, a relation, a region, a family."""

from typing import NamedTuple

from astro_factory.verifiers.math.numbers import Number
from astro_factory.verifiers.math.unit_names import Unit


class Value(NamedTuple):
    """One expression, with what stands around it."""

    text: str
    number: Number | None = None
    unit: Unit | None = None
    percent: bool = False


class Words(NamedTuple):
    """An answer in words, in lower case."""

    text: str


class UnorderedList(NamedTuple):
    r"""Several answers, in no order. `joined` is what stands between them: `,`, `\land` or `\lor`."""

    items: tuple["Form", ...]
    joined: str = ","


class FiniteSet(NamedTuple):
    """A set in braces."""

    items: tuple["Form", ...]


class TupleOrInterval(NamedTuple):
    """Two or more items in brackets: a tuple, or an interval."""

    opening: str
    items: tuple["Form", ...]
    closing: str


class Ratio(NamedTuple):
    """`1:2:3`, whose parts may all be multiplied by one number."""

    items: tuple["Form", ...]


class Matrix(NamedTuple):
    rows: tuple[tuple["Form", ...], ...]


class Relation(NamedTuple):
    r"""Sides with the signs between them: `=`, `~` (about), `<`, `\le`, `>`, `\ge`, `\ne`, `\equiv` with a modulus."""

    sides: tuple["Form", ...]
    signs: tuple[str, ...]
    modulus: str = ""


class Union(NamedTuple):
    parts: tuple["Form", ...]


class Intersection(NamedTuple):
    parts: tuple["Form", ...]


class Difference(NamedTuple):
    whole: "Form"
    without: "Form"


class NamedSet(NamedTuple):
    """A set with a name, such as `R`, or the empty one, `0`."""

    name: str


class Family(NamedTuple):
    r"""An answer with a condition behind it: `x = k\pi, k \in \mathbb{Z}`, `2^n` for `n \ge 2`."""

    body: "Form"
    condition: str
    parameters: frozenset[str] = frozenset()
    """Names that run through the integers."""


Form = (
    Value
    | Words
    | UnorderedList
    | FiniteSet
    | TupleOrInterval
    | Ratio
    | Matrix
    | Relation
    | Union
    | Intersection
    | Difference
    | NamedSet
    | Family
)


def parts_of(form: Form) -> tuple[Form, ...]:
    """The forms that a form is directly made of."""
    if isinstance(form, Value | Words | NamedSet):
        return ()
    if isinstance(form, Matrix):
        return tuple(cell for row in form.rows for cell in row)
    if isinstance(form, Difference):
        return form.whole, form.without
    if isinstance(form, Family):
        return (form.body,)
    if isinstance(form, Relation):
        return form.sides
    return form.parts if isinstance(form, Union | Intersection) else form.items


class UnreadableError(ValueError):
    """Text that is no answer of any kind."""
