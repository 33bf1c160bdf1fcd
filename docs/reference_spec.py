"""docs/reference/spec.md: every section, kind and field of the language, from the models that check it."""

import json
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from astro_factory.core.annotations import alternatives, field_annotation, unwrap
from astro_factory.core.config import (
    Definition,
    InputFile,
    NotSemantic,
    Reference,
    Rounding,
    StageConfig,
    documentation,
)
from astro_factory.core.tracking import TrackConfig
from astro_factory.spec.sections import DEFINITION_SECTIONS, DOCUMENTATION, NODE_SECTIONS, definition_type
from astro_factory.spec.sweeps import Sweep
from astro_factory.stages import KINDS
from docs.markdown import paragraph, table

_INTRODUCTION = """\
# Specs: all fields

[Specs](../guide/specs.md) explains the language; this page lists every field. A field without a default is `required`
or may be left out. Fields marked *not in the key* cannot change the output, so changing them runs nothing again. Those
that *change only last bits* are in the key, but `build --continue-across STAGE` continues a checkpoint after a change.
Editors with a YAML language server show the same texts, from `specs/astro-factory.schema.json`.
"""
_NOTES: dict[type, str] = {NotSemantic: "*Not in the key.*", Rounding: "*Changes only last bits.*"}
"""What the page says about a field with a marker."""
_SCALARS = {str: "text", int: "integer", float: "number", bool: "true or false", Any: "any value"}
_SIGNS = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}


class _Page:
    """Writes the page; remembers the nested models that it meets and lists them at the end."""

    def __init__(self) -> None:
        self._nested: dict[type[BaseModel], None] = {}

    def parts(self) -> Iterator[str]:
        yield _INTRODUCTION
        yield "## At the top"
        yield table(("Key", "Holds"), [(self._key(key), text) for key, text in DOCUMENTATION.items()])
        yield "## Every node"
        yield "Entries of `models`, `problems`, `stages` and `publish` also take"
        yield self._fields(StageConfig)
        for section in DOCUMENTATION:
            if section in NODE_SECTIONS:
                yield f"## {section}"
                yield DOCUMENTATION[section]
                yield from self._node_section(section)
            elif section in DEFINITION_SECTIONS:
                yield f"## {section}"
                yield DOCUMENTATION[section]
                yield from self._definitions(section, definition_type(section))
        yield "## track"
        yield DOCUMENTATION["track"]
        yield from self._definitions("track", TrackConfig)
        yield "## sweeps"
        yield DOCUMENTATION["sweeps"]
        yield self._fields(Sweep)
        yield "## Settings inside others"
        done: set[type[BaseModel]] = set()
        while pending := [model for model in self._nested if model not in done]:
            for model in pending:
                done.add(model)
                yield f"### {model.__name__}"
                yield paragraph(model.__doc__ or "")
                yield self._fields(model)

    def _key(self, key: str) -> str:
        listed = key in (*NODE_SECTIONS, *DEFINITION_SECTIONS, "track", "sweeps")
        return f"[`{key}`](#{key})" if listed else f"`{key}`"

    def _node_section(self, section: str) -> Iterator[str]:
        for kind, name in KINDS[section].items():
            module = import_module(name)
            if len(KINDS[section]) > 1:
                yield f"### {section}: {kind}"
            yield paragraph(module.__doc__ or "")
            yield self._fields(module.Config, without=StageConfig)

    def _definitions(self, section: str, annotation: Any) -> Iterator[str]:
        for option in alternatives(annotation):
            model, _ = unwrap(option)
            if "kind" in model.model_fields:
                yield f"### {section}: {get_args(model.model_fields['kind'].annotation)[0]}"
            yield paragraph(model.__doc__ or "")
            yield self._fields(model)

    def _fields(self, model: type[BaseModel], without: type[BaseModel] | None = None) -> str:
        """The table of a model's fields; `without` those of its base."""
        texts, rows = documentation(model), []
        for name, field in model.model_fields.items():
            if name == "kind" or (without and name in without.model_fields):
                continue
            annotation = field_annotation(model, name)
            notes = [note for marker in field.metadata if (note := _NOTES.get(type(marker)))]
            text = " ".join([texts.get(name, ""), *notes]).strip()
            rows.append((f"`{name}`", self._type(annotation), _default(field), text))
        return table(("Field", "Type", "Default", "Meaning"), rows) if rows else "No fields of its own."

    def _type(self, annotation: Any) -> str:
        """An annotation in words; remembers the models in it."""
        options = [option for option in alternatives(annotation) if unwrap(option)[0] is not NoneType]
        return " or ".join(dict.fromkeys(self._single(option) for option in options))

    def _single(self, annotation: Any) -> str:
        bare, markers = unwrap(annotation)
        for marker in markers:
            if isinstance(marker, Reference):
                return f"name of {' or '.join(kind.value for kind in marker.types)}"
            if isinstance(marker, InputFile):
                return "path of a folder" if marker.folder else "path"
            if isinstance(marker, Definition):
                return "name or path of a template" if marker.section == "templates" else _definition(marker.section)
        origin, args = get_origin(bare), get_args(bare)
        if origin is Literal:
            return ", ".join(f"`{_json(value)}`" for value in args)
        if origin is list:
            return f"list of {self._type(args[0])}"
        if origin is tuple and args[-1] is ...:
            return f"list of {self._type(args[0])}"
        if origin is tuple:
            return f"[{', '.join(self._type(item) for item in args)}]"
        if origin is dict:
            return f"mapping of {self._type(args[0])} to {self._type(args[1])}"
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            self._nested.setdefault(bare)
            return f"[{bare.__name__}](#{bare.__name__.lower()})"
        if isinstance(bare, type) and issubclass(bare, Enum):
            return ", ".join(f"`{member.value}`" for member in bare)
        return " ".join([_SCALARS[bare], *_bounds(markers)])


def _definition(section: str) -> str:
    return f"name or definition, see [`{section}`](#{section})"


def _bounds(markers: tuple[Any, ...]) -> list[str]:
    """The limits of a number, such as `≥ 1`; Pydantic's `Field` holds them in its own metadata."""
    flat = [inner for marker in markers for inner in (marker, *getattr(marker, "metadata", ()))]
    return [f"{sign} {getattr(m, name)}" for kind, (sign, name) in _SIGNS.items() for m in flat if isinstance(m, kind)]


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    if field.default_factory_takes_validated_data:
        return "from other fields"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
    return f"`{_json(value)}`"


def _json(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def spec_page() -> Iterator[str]:
    yield from _Page().parts()
