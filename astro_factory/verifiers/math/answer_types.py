"""What kinds of answers there are: a value, words, a list, a tuple, a set, a matrix, a relation, a region, a family."""

from dataclasses import dataclass

from astro_factory.verifiers.math.numbers import Number
from astro_factory.verifiers.math.unit_names import Unit


@dataclass(frozen=True, slots=True)
class Value:
    """One expression, with what stands around it."""

    text: str
    number: Number | None = None
    unit: Unit | None = None
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """An answer in words, in lower case."""

    text: str


@dataclass(frozen=True, slots=True)
class UnorderedList:
    r"""Several answers, in no order. `joined` is what stands between them: `,`, `\land` or `\lor`."""

    items: tuple["Form", ...]
    joined: str = ","


@dataclass(frozen=True, slots=True)
class FiniteSet:
    """A set in braces."""

    items: tuple["Form", ...]


@dataclass(frozen=True, slots=True)
class TupleOrInterval:
    """Two or more items in brackets: a tuple, or an interval."""

    opening: str
    items: tuple["Form", ...]
    closing: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """`1:2:3`, whose parts may all be multiplied by one number."""

    items: tuple["Form", ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    rows: tuple[tuple["Form", ...], ...]


@dataclass(frozen=True, slots=True)
class Relation:
    r"""Sides with the signs between them: `=`, `~` (about), `<`, `\le`, `>`, `\ge`, `\ne`, `\equiv` with a modulus."""

    sides: tuple["Form", ...]
    signs: tuple[str, ...]
    modulus: str = ""


@dataclass(frozen=True, slots=True)
class Union:
    parts: tuple["Form", ...]


@dataclass(frozen=True, slots=True)
class Intersection:
    parts: tuple["Form", ...]


@dataclass(frozen=True, slots=True)
class Difference:
    whole: "Form"
    without: "Form"


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A set with a name, such as `R`, or the empty one, `0`."""

    name: str


@dataclass(frozen=True, slots=True)
class Family:
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
