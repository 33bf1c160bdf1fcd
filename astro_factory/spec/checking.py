"""Pydantic's findings as diagnostics: the place in the spec, near matches, choices."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from astro_factory.core.annotations import fields_at
from astro_factory.core.errors import Diagnostic, near
from astro_factory.spec.reader import UNRESOLVED, Document, Path_


def dotted(path: Path_) -> str:
    return ".".join(map(str, path))


def validate(document: Document, path: Path_, annotation: Any, raw: Any, errors: list[Diagnostic]) -> Any:
    """`raw` as a value of `annotation`; on failure None, with one diagnostic for each finding."""
    try:
        return _adapter(annotation).validate_python(raw)
    except ValidationError as failure:
        for found in failure.errors(include_url=False):
            if found["input"] is not UNRESOLVED:
                errors.append(_diagnostic(document, path, annotation, raw, found))
    return None


_adapter = cache(TypeAdapter)
"""Making one takes longer than using it."""


def _diagnostic(document: Document, path: Path_, annotation: Any, raw: Any, found: Any) -> Diagnostic:
    inner = _path_in(raw, found["loc"], missing=found["type"] == "missing")
    here, kind, context = (*path, *inner), found["type"], found.get("ctx", {})
    parent, name = dotted(here[:-1]), here[-1] if here else ""
    if kind == "extra_forbidden":
        remedy = near(name, fields_at(annotation, raw, inner[:-1]))
        return document.diagnose("E104", here, f"unknown key '{name}' in {parent}", remedy, key=True)
    if kind == "missing":
        return document.diagnose("E113", here[:-1], f"{parent} lacks the key '{name}'", f"add `{name}: …`", key=True)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = context.get("tag")
        choices = context.get("expected_tags", "").replace("'", "").split(", ")
        cause = f"{dotted(here)} has no `kind`" if tag is None else f"{dotted(here)} is of no known kind '{tag}'"
        return document.diagnose("E114", (*here, "kind"), cause, near(tag, choices) if choices != [""] else "")
    if kind == "literal_error":
        choices = [c.strip("'") for c in context["expected"].replace(" or ", ", ").split(", ")]
        cause = f"{dotted(here)} cannot be {_written(found['input'])}"
        return document.diagnose("E115", here, cause, near(found["input"], choices))
    cause = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if kind in ("value_error", "assertion_error"):
        return document.diagnose("E116", here, f"{dotted(here)}: {cause}")
    wanted = f"should be {_FORMS[kind]}" if kind in _FORMS else cause
    return document.diagnose("E115", here, f"{dotted(here)} {wanted}, not {_written(found['input'])}")


_FORMS = {
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "text",
}
"""What Pydantic's types of finding ask for, in words of the spec."""


def _written(value: Any) -> str:
    """A value as its kind and text, short."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    names = {str: "the text", bool: "the truth value", int: "the number", float: "the number", type(None): "nothing"}
    text = "" if value is None else f" {value!r:.60}"
    return f"{names.get(type(value), type(value).__name__)}{text}"


def _path_in(raw: Any, loc: tuple, *, missing: bool) -> Path_:
    """Pydantic's location without the tags of unions, which are no keys of the spec."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        if (isinstance(raw, dict) and part in raw) or (
            isinstance(raw, list) and isinstance(part, int) and part < len(raw)
        ):
            raw = raw[part]
        elif not (missing and index == len(loc) - 1):
            continue
        path.append(part)
    return tuple(path)
