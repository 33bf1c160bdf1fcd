"""Pydantic's findings as diagnostics: the place in the spec, near matches, choices."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from astro_factory.core.annotations import model_at
from astro_factory.core.config import documentation
from astro_factory.core.errors import Diagnostic, near
from astro_factory.spec.reader import UNRESOLVED, Document, KeyPath
from astro_factory.spec.sections import DOCUMENTATION


def dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


def validate(document: Document, path: KeyPath, annotation: Any, raw: Any, errors: list[Diagnostic]) -> Any:
    """`raw` as a value of `annotation`; on failure None, with one diagnostic for each finding."""
    try:
        value = _adapter(annotation).validate_python(raw)
    except ValidationError as failure:
        errors += _Findings(document, path, annotation, raw).diagnostics(failure)
        return None
    slips = [_Findings(document, path, annotation, raw).misformed(*slip) for slip in _coerced(raw, value)]
    errors += slips
    return None if slips else value


_adapter = cache(TypeAdapter)
"""Making one takes longer than using it."""


def _coerced(raw: Any, value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, list[str]]]:
    """Where Pydantic read a text or a truth value as something else, which no spec means: the path and the due form."""
    if isinstance(raw, dict) and isinstance(value, dict | BaseModel):
        inner = value if isinstance(value, dict) else vars(value)
        for key, item in raw.items():
            if key in inner:
                yield from _coerced(item, inner[key], (*path, key))
    elif isinstance(raw, list) and isinstance(value, list | tuple):
        for index, (item, other) in enumerate(zip(raw, value, strict=False)):
            yield from _coerced(item, other, (*path, index))
    elif {type(raw), type(value)} in _MIXES:
        yield path, [_SCALARS[type(value)]]


class _Findings:
    """What Pydantic has to say about one value of a spec, in words of the spec."""

    def __init__(self, document: Document, path: KeyPath, annotation: Any, raw: Any):
        self.document, self.path, self.annotation, self.raw = document, path, annotation, raw

    def diagnostics(self, failure: ValidationError) -> list[Diagnostic]:
        """One for each slip: the branches of a union that the value does not take have no say."""
        findings: dict[KeyPath, list[Any]] = {}
        for found in failure.errors(include_url=False):
            if found["input"] is not UNRESOLVED:
                inner = _path_in(self.raw, found["loc"], missing=found["type"] == "missing")
                findings.setdefault(inner, []).append(found)
        made = []
        for inner, here in findings.items():
            forms = list(dict.fromkeys(_FORMS[found["type"]] for found in here if found["type"] in _FORMS))
            deeper = any(len(other) > len(inner) and other[: len(inner)] == inner for other in findings)
            if forms and not deeper:
                made.append(self.misformed(inner, forms))
            made += [self._diagnostic(inner, found) for found in here if found["type"] not in _FORMS]
        return made

    def misformed(self, inner: KeyPath, forms: Sequence[str]) -> Diagnostic:
        value = self.raw
        for part in inner:
            value = value[part]
        return self._wrong("E115", inner, f"should be {' or '.join(forms)}, not {_written(value)}")

    def _wrong(self, code: str, inner: KeyPath, what: str, remedy: str = "") -> Diagnostic:
        here = (*self.path, *inner)
        return self.document.diagnose(code, here, f"{dotted(here)} {what}", remedy or self._meaning(inner, code))

    def _diagnostic(self, inner: KeyPath, found: Any) -> Diagnostic:
        here, kind, context = (*self.path, *inner), found["type"], found.get("ctx", {})
        if kind in ("extra_forbidden", "invalid_key") or found["loc"][-1:] == ("[key]",):
            return self._unknown_key(inner, found)
        if kind == "missing" and isinstance(inner[-1], str):
            meaning = f" ({text})" if (text := self._documentation(inner)) else ""
            cause = f"{dotted(here[:-1])} lacks the key '{inner[-1]}'"
            return self.document.diagnose("E113", here[:-1], cause, f"add `{inner[-1]}: …`{meaning}", key=True)
        if kind == "missing":
            return self._wrong("E115", inner[:-1], f"should have more than {inner[-1]} items")
        if kind == "user_error":  # from `core.registry.OpenUnion`
            return self.document.diagnose(context["code"], (*here, "kind"), context["cause"], context["remedy"])
        if kind in ("union_tag_invalid", "union_tag_not_found"):
            tag = context.get("tag")
            choices = context.get("expected_tags", "").replace("'", "").split(", ")
            cause = f"{dotted(here)} has no `kind`" if tag is None else f"{dotted(here)} is of no known kind '{tag}'"
            remedy = near(tag, choices) if choices != [""] else "name its kind"
            return self.document.diagnose("E114", (*here, "kind"), cause, remedy)
        if kind == "literal_error":
            remedy = near(found["input"], _literals(found))
            return self._wrong("E115", inner, f"cannot be {_written(found['input'])}", remedy)
        if kind in ("value_error", "assertion_error"):
            cause, _, remedy = found["msg"].removeprefix("Value error, ").partition("; ")
            where = (*inner, *pointed(found["input"], cause))
            remedy = remedy or self._meaning(where, "E116")
            return self.document.diagnose("E116", (*self.path, *where), f"{dotted(here)}: {cause}", remedy)
        cause = re.sub(r"^\w+ (?=should)| after validation", "", found["msg"])
        items = "" if kind in ("too_long", "too_short") else f", not {_written(found['input'])}"
        return self._wrong("E115", inner, cause + items)

    def _unknown_key(self, inner: KeyPath, found: Any) -> Diagnostic:
        model = model_at(self.annotation, self.raw, inner[:-1])
        choices = _literals(found) if found["type"] == "literal_error" else model.model_fields if model else ()
        here = (*self.path, *inner)
        cause = f"unknown key '{here[-1]}' in {dotted(here[:-1])}"
        remedy = near(here[-1], choices) or f"keys here are {_FORMS.get(found['type'], 'other texts')}s"
        if source := self.document.likes.get(here):
            remedy = f"it comes from {dotted(source[:-1])} by `like`; write `{here[-1]}: null` to leave it out"
        elif here[-1] == "<<":
            remedy = "write `like: NAME` to repeat another entry"
        return self.document.diagnose("E104", here, cause, remedy, key=True)

    def _documentation(self, inner: KeyPath) -> str:
        """The first sentence of what the field at a path is documented as."""
        while inner and not isinstance(inner[-1], str):
            inner = inner[:-1]  # an entry of a list is documented with the list
        model = model_at(self.annotation, self.raw, inner[:-1]) if inner else None
        text = documentation(model).get(str(inner[-1])) if model else None
        if text is None and len(self.path) == 1:
            text = DOCUMENTATION.get(str(self.path[0]))
        return re.split(r"(?<=\w)[.;]\s", " ".join((text or "").split()))[0].removesuffix(".")

    def _meaning(self, inner: KeyPath, code: str) -> str:
        """A remedy that says what the field is for."""
        text = self._documentation(inner)
        name = next((part for part in reversed((*self.path, *inner)) if isinstance(part, str)), "")
        return f"{name} is documented as: {text}" if text else f"see `astro-factory explain-error {code}`"


def _literals(found: Any) -> list[str]:
    """The choices of a `Literal`."""
    return [choice.strip("'") for choice in found["ctx"]["expected"].replace(" or ", ", ").split(", ")]


def pointed(raw: Any, cause: str) -> KeyPath:
    """The part of an entry that a message about it means: the last value it quotes, or the first key it names."""
    if not isinstance(raw, dict):
        return ()
    quoted = set(re.findall(r"'([^']+)'", cause))
    if values := [path for path, value in _leaves(raw) if value in quoted]:
        return values[-1]
    return next(((word,) for word in re.findall(r"\w+", cause) if word in raw), ())


def _leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every text of a value with its path."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*path, key))
    elif isinstance(value, str) and path[-1] != "kind":
        yield path, value


_FORMS = {
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "text",
}
"""What Pydantic's types of finding ask for, in words of the spec."""
_SCALARS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_MIXES = [{str, bool}, {str, int}, {str, float}, {bool, int}, {bool, float}]


def _written(value: Any) -> str:
    """A value as its kind and text, short."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    names = {str: "the text", int: "the number", float: "the number", type(None): "nothing"}
    text = "" if value is None else f" {value!r:.60}"
    return f"{names.get(type(value), type(value).__name__)}{text}"


def _path_in(raw: Any, loc: tuple, *, missing: bool) -> KeyPath:
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
