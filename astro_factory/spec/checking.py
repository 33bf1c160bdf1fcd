"""Turns Pydantic's validation errors into diagnostics with places in the spec, near matches and choices."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from astro_factory.core.annotations import model_at
from astro_factory.core.config import documentation
from astro_factory.core.errors import Diagnostic, did_you_mean, near
from astro_factory.spec.reader import UNRESOLVED, Document, KeyPath
from astro_factory.spec.sections import DOCUMENTATION


def dotted(path: KeyPath) -> str:
    """A path as messages show it: `stages.trees.policy`."""
    return ".".join(map(str, path))


def validate(document: Document, path: KeyPath, annotation: Any, raw: Any, errors: list[Diagnostic]) -> Any:
    """`raw` validated as `annotation`; on failure None, after adding a diagnostic for each problem to `errors`."""
    try:
        value = _adapter(annotation).validate_python(raw)
    except ValidationError as failure:
        errors += _Findings(document, path, annotation, raw).diagnostics(failure)
        return None
    findings = _Findings(document, path, annotation, raw)
    coerced = [findings.malformed(*found) for found in _coerced(raw, value)]
    errors += coerced
    return None if coerced else value


_adapter = cache(TypeAdapter)
"""Cached because creating an adapter takes longer than using it."""


def _coerced(raw: Any, value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, list[str]]]:
    """Paths where Pydantic converted between strings, booleans and numbers, with the required type."""
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
    """Pydantic's findings about one value of a spec, in terms of the spec."""

    def __init__(self, document: Document, path: KeyPath, annotation: Any, raw: Any):
        self.document, self.path, self.annotation, self.raw = document, path, annotation, raw

    def diagnostics(self, failure: ValidationError) -> list[Diagnostic]:
        """One diagnostic per mistake, without findings of union branches that the value does not select."""
        findings: dict[KeyPath, list[Any]] = {}
        for found in failure.errors(include_url=False):
            if found["input"] is not UNRESOLVED:
                inner = _path_in(self.raw, found["loc"], missing=found["type"] == "missing")
                findings.setdefault(inner, []).append(found)
        self._drop_misspelt(findings)
        result = []
        for inner, same_path in findings.items():
            forms = list(dict.fromkeys(_FORMS[found["type"]] for found in same_path if found["type"] in _FORMS))
            deeper = any(len(other) > len(inner) and other[: len(inner)] == inner for other in findings)
            if forms and not deeper:
                result.append(self.malformed(inner, forms))
            result += [self._diagnostic(inner, found) for found in same_path if found["type"] not in _FORMS]
        return result

    def _drop_misspelt(self, findings: dict[KeyPath, list[Any]]) -> None:
        """Leave out missing keys that are only misspelt: the finding about the unknown key names them."""
        unknown = [path for path, found in findings.items() if found[0]["type"] == "extra_forbidden"]
        missing = [path for path, found in findings.items() if found[0]["type"] == "missing"]
        for path in missing:
            if any(path[:-1] == other[:-1] and did_you_mean(other[-1], [str(path[-1])]) for other in unknown):
                del findings[path]

    def malformed(self, inner: KeyPath, forms: Sequence[str]) -> Diagnostic:
        value = self.raw
        for part in inner:
            value = value[part]
        remedy = f"write {value.strip()} without quotes" if _is_quoted_number(value, forms) else ""
        if remedy and self.document.origin((*self.path, *inner)) in self.document.joined:
            remedy = "`${...}` beside other text always gives text; write the number, or a `${...}` alone"
        return self._wrong("E115", inner, f"should be {' or '.join(forms)}, not {_described(value)}", remedy)

    def _wrong(self, code: str, inner: KeyPath, problem: str, remedy: str = "") -> Diagnostic:
        path = (*self.path, *inner)
        return self.document.diagnose(code, path, f"{dotted(path)} {problem}", remedy or self._meaning(inner, code))

    def _diagnostic(self, inner: KeyPath, found: Any) -> Diagnostic:
        path, kind, context = (*self.path, *inner), found["type"], found.get("ctx", {})
        if kind in ("extra_forbidden", "invalid_key") or found["loc"][-1:] == ("[key]",):
            return self._unknown_key(inner, found)
        if kind == "missing" and isinstance(inner[-1], str):
            meaning = f" ({text})" if (text := self._documentation(inner)) else ""
            cause = f"{dotted(path[:-1])} is missing the key '{inner[-1]}'"
            return self.document.diagnose("E113", path[:-1], cause, f"add `{inner[-1]}: …`{meaning}", key=True)
        if kind == "missing":
            return self._wrong("E115", inner[:-1], f"should have more than {inner[-1]} items")
        if kind == "user_error":  # from `core.registry.OpenUnion`
            return self.document.diagnose(context["code"], (*path, "kind"), context["cause"], context["remedy"])
        if kind in ("union_tag_invalid", "union_tag_not_found"):
            tag = context.get("tag")
            choices = context.get("expected_tags", "").replace("'", "").split(", ")
            cause = f"{dotted(path)} has no `kind`" if tag is None else f"{dotted(path)} has the unknown kind '{tag}'"
            remedy = near(tag, choices) if choices != [""] else "add a `kind`"
            return self.document.diagnose("E114", (*path, "kind"), cause, remedy)
        if kind == "literal_error":
            remedy = near(found["input"], _literals(found))
            return self._wrong("E115", inner, f"cannot be {_described(found['input'])}", remedy)
        if kind in ("value_error", "assertion_error"):
            cause, _, remedy = found["msg"].removeprefix("Value error, ").partition("; ")
            where = (*inner, *pointed(found["input"], cause))
            remedy = remedy or self._meaning(where, "E116")
            return self.document.diagnose("E116", (*self.path, *where), f"{dotted(path)}: {cause}", remedy)
        cause = re.sub(r"^\w+ (?=should)| after validation", "", found["msg"])
        items = "" if kind in ("too_long", "too_short") else f", not {_described(found['input'])}"
        return self._wrong("E115", inner, cause + items)

    def _unknown_key(self, inner: KeyPath, found: Any) -> Diagnostic:
        model = model_at(self.annotation, self.raw, inner[:-1])
        choices = _literals(found) if found["type"] == "literal_error" else model.model_fields if model else ()
        path = (*self.path, *inner)
        cause = f"unknown key '{path[-1]}' in {dotted(path[:-1])}"
        remedy = near(path[-1], choices) or f"each key must be {_FORMS.get(found['type'], 'another string')}"
        if source := self.document.likes.get(path):
            remedy = f"it is inherited from {dotted(source[:-1])}; write `{path[-1]}: null` to remove it"
        elif path[-1] == "<<":
            remedy = "write `like: NAME` to repeat another entry"
        return self.document.diagnose("E104", path, cause, remedy, key=True)

    def _documentation(self, inner: KeyPath) -> str:
        """The first sentence of the documentation of the field at a path."""
        while inner and not isinstance(inner[-1], str):
            inner = inner[:-1]  # an item of a list is documented with the list
        model = model_at(self.annotation, self.raw, inner[:-1]) if inner else None
        text = documentation(model).get(str(inner[-1])) if model else None
        if text is None and len(self.path) == 1:
            text = DOCUMENTATION.get(str(self.path[0]))
        return re.split(r"(?<=\w)[.;]\s", " ".join((text or "").split()))[0].removesuffix(".")

    def _meaning(self, inner: KeyPath, code: str) -> str:
        """A remedy that quotes the documentation of the field."""
        text = self._documentation(inner)
        name = next((part for part in reversed((*self.path, *inner)) if isinstance(part, str)), "")
        return f"{name} is documented as: {text}" if text else f"see `astro-factory explain-error {code}`"


def _literals(found: Any) -> list[str]:
    """The choices of a `Literal`."""
    return [choice.strip("'") for choice in found["ctx"]["expected"].replace(" or ", ", ").split(", ")]


def pointed(raw: Any, cause: str) -> KeyPath:
    """The part of an entry that a message is about: the last value it quotes, or the first key it mentions."""
    if not isinstance(raw, dict):
        return ()
    quoted = set(re.findall(r"'([^']+)'", cause))
    if values := [path for path, value in _leaves(raw) if value in quoted]:
        return values[-1]
    return next(((word,) for word in re.findall(r"\w+", cause) if word in raw), ())


def _leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every string inside a value, with its path."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*path, key))
    elif isinstance(value, str) and path[-1] != "kind":
        yield path, value


_FORMS = {
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "a string",
}
"""Pydantic's error types to the required form, in terms of the spec."""
_SCALARS = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}
_MIXES = [{str, bool}, {str, int}, {str, float}, {bool, int}, {bool, float}]


_INTEGER = re.compile(r"\s*[+-]?\d+\s*")
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")


def _is_quoted_number(value: Any, forms: Sequence[str]) -> bool:
    matches = _INTEGER.fullmatch if "an integer" in forms else _NUMBER.fullmatch
    return isinstance(value, str) and bool({"an integer", "a number"} & {*forms}) and matches(value) is not None


def _described(value: Any) -> str:
    """The type and text of a value, shortened."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    names = {str: "the string", int: "the number", float: "the number", type(None): "null"}
    text = "" if value is None else f" {value!r:.60}"
    return f"{names.get(type(value), type(value).__name__)}{text}"


def _path_in(raw: Any, loc: tuple, *, missing: bool) -> KeyPath:
    """Pydantic's location without union tags, which are not keys of the spec."""
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
