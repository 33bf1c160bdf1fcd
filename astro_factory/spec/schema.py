"""The language as a JSON Schema with the documentation of every field, for completion and checks in editors.

It describes a single file, which may rely on its includes, so nothing at the top is required. It checks less than the
compiler: names are plain strings, and `${...}` may replace any value except a `kind`.
"""

import json
import operator
from functools import reduce
from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model

from astro_factory.core.annotations import alternatives, unwrap
from astro_factory.core.config import Config, documentation
from astro_factory.spec.sections import (
    DEFINITION_SECTIONS,
    DOCUMENTATION,
    LANGUAGE,
    NODE_SECTIONS,
    OTHER_KEYS,
    definition_type,
)
from astro_factory.stages import REGISTRIES, load_kind

_INTERPOLATED = {"type": "string", "pattern": r"\$\{[^}]*\}", "description": "A value from elsewhere in the spec."}
_REFERENCE = {"$ref": "#/$defs/Interpolated"}


def spec_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a spec file, including the kinds of installed packages."""
    holds: dict[str, Any] = {**OTHER_KEYS, "factory": int, "name": str, "include": str | list[str]}
    entries: dict[str, Any] = {section: _any_of(_configs(section)) for section in NODE_SECTIONS}
    entries |= {section: definition_type(section) for section in DEFINITION_SECTIONS}
    holds |= {section: dict[str, entry | _like_entry(section, entry)] for section, entry in entries.items()}
    fields: dict[str, Any] = {key: (annotation | None, None) for key, annotation in holds.items()}
    schema = create_model("Spec", __base__=Config, **fields).model_json_schema()
    properties = {key: {"description": DOCUMENTATION[key], **schema["properties"][key]} for key in fields}
    properties["factory"] = {"description": DOCUMENTATION["factory"], "const": LANGUAGE}
    properties = {key: properties[key] for key in DOCUMENTATION if key in properties}
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "astro-factory spec", "type": "object"}
    found = _tidied({"properties": properties, "additionalProperties": False, "$defs": schema["$defs"]})
    found["$defs"]["Interpolated"] = _INTERPOLATED
    return whole | found


def schema_text() -> str:
    """The content of specs/astro-factory.schema.json."""
    return json.dumps(spec_schema(), indent=1, ensure_ascii=False) + "\n"


def _configs(section: str) -> list[type[BaseModel]]:
    """The configurations of all kinds of a section, including those of other packages."""
    registry = REGISTRIES[section]
    kinds = [load_kind(section, name) for name in (*registry.added(), *registry.builtin)]
    return [kind.Config for kind in kinds if kind]


def _any_of(configs: list[type[BaseModel]]) -> Any:
    """A union of several kinds, distinguished by `kind`."""
    return Annotated[reduce(operator.or_, configs), Field(discriminator="kind")] if len(configs) > 1 else configs[0]


def _like_entry(section: str, entry: Any) -> type[BaseModel]:
    """An entry with `like`: any field of any kind of the section, none required."""
    models = [unwrap(option)[0] for option in alternatives(entry)]
    texts = {name: text for model in models for name, text in documentation(model).items()}
    names = {name: texts.get(name, "The kind of the entry.") for model in models for name in model.model_fields}
    fields: dict[str, Any] = {
        name: (
            _like_value([model.model_fields[name].annotation for model in models if name in model.model_fields]),
            Field(None, description=text),
        )
        for name, text in names.items()
    }
    like = f"The entry of `{section}` that this one is the same as, except for its own fields."
    return create_model(f"Like_{section}", __base__=Config, like=(str | int, Field(description=like)), **fields)


def _like_value(annotations: list[Any]) -> Any:
    """The type of a field in an entry with `like`, whose mappings may be incomplete.

    It is known if the field is the same model in all kinds, one without required fields.
    """
    one = annotations[0]
    same = isinstance(one, type) and issubclass(one, Config) and all(other is one for other in annotations)
    return one | None if same and not any(f.is_required() for f in one.model_fields.values()) else Any


def _tidied(schema: Any, *, named: bool = False) -> Any:
    """Remove generated titles and null defaults, and allow `${...}` wherever a value is allowed.

    `named`: the keys of this mapping are names from the spec or of definitions, not JSON Schema keywords.
    """
    if isinstance(schema, list):
        return [_tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {}
    for key, value in schema.items():
        if named:
            tidy[key] = _tidied(value)
        elif key in ("properties", "$defs"):
            tidy[key] = _tidied(value, named=True)
            if key == "properties":
                tidy[key] = {name: _or_interpolated(item) for name, item in tidy[key].items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            tidy[key] = _or_interpolated(_tidied(value))
        elif key == "prefixItems":
            tidy[key] = [_or_interpolated(_tidied(item)) for item in value]
        elif key == "description":
            tidy[key] = " ".join(value.split())
        elif key == "default" and value is None:
            continue
        elif key not in ("title", "discriminator"):
            tidy[key] = value if key == "default" else _tidied(value)
    return tidy


def _or_interpolated(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that may be replaced by `${...}`."""
    outer = {key: value for key, value in schema.items() if key in ("description", "default")}
    inner = {key: value for key, value in schema.items() if key not in outer}
    if not inner or "const" in inner or {"type": "string"} in (inner, *inner.get("anyOf", ())):
        return schema  # accepts anything, is a kind, or accepts any string
    return outer | {"anyOf": [*inner.get("anyOf", [inner]), _REFERENCE]}
