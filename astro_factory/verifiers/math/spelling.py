"""One spelling for all ways of writing an answer, by which equal answers are counted together."""

from sympy import Expr

from astro_factory.verifiers.math.answer_types import (
    Difference,
    Family,
    FiniteSet,
    Form,
    Intersection,
    Matrix,
    NamedSet,
    Ratio,
    Relation,
    TupleOrInterval,
    Union,
    Value,
    Words,
    parts_of,
)
from astro_factory.verifiers.math.symbolic import formula

MAX_CHARS = 200


def spelled(form: Form, source: str) -> str:
    """The spelling of a form, or the beginning of its source where that would be too long."""
    text = _spelling(form)
    return text if len(text) <= MAX_CHARS else source[:MAX_CHARS]


def _spelling(form: Form) -> str:
    if isinstance(form, Value):
        return _value(form)
    if isinstance(form, Words):
        return form.text
    if isinstance(form, NamedSet):
        return "empty set" if form.name == "0" else f"all of {form.name}"
    if isinstance(form, Matrix):
        return "[" + "; ".join(", ".join(map(_spelling, row)) for row in form.rows) + "]"
    parts = [_spelling(part) for part in parts_of(form)]
    if isinstance(form, Difference):
        return " without ".join(parts)
    if isinstance(form, Family):
        return f"{parts[0]} where {form.condition}"
    if isinstance(form, Relation):
        signs = (sign.lstrip("\\") for sign in form.signs)
        return parts[0] + "".join(f" {sign} {side}" for sign, side in zip(signs, parts[1:], strict=True))
    if isinstance(form, Union | Intersection):
        return (" u " if isinstance(form, Union) else " n ").join(sorted(parts))
    if isinstance(form, TupleOrInterval):
        return form.opening + ", ".join(parts) + form.closing
    if isinstance(form, Ratio):
        return ":".join(parts)
    return "{" + ", ".join(sorted(set(parts))) + "}" if isinstance(form, FiniteSet) else ", ".join(sorted(parts))


def _value(value: Value) -> str:
    unit = f" {value.unit}" if value.unit else "%" if value.percent else ""
    if value.number:
        return f"{value.number.value}{unit}"
    found = formula(value.text)
    try:
        return f"{found}{unit}" if isinstance(found, Expr) else value.text + unit
    except ValueError:  # a whole number of more digits than Python writes
        return value.text + unit
