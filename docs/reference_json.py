"""docs/reference/json.md: the layout of JSON files and of what commands print with `--json`."""

from collections.abc import Iterator, Mapping
from typing import Any

from astro_factory.json_shapes import JSON_SHAPES, json_schema
from docs.markdown import table

_INTRODUCTION = """\
# JSON

Programs can rely on the files in stage outputs and on what commands print with `--json`. Any release may add fields, so
ignore those that you do not know. [Stability](../stability.md) describes how a field is removed.

A command that fails because of the input prints `{"ok": false, "errors": [...]}` with the fields of
[`check --json`](#check-json) and ends with exit code 2.
"""


def json_page() -> Iterator[str]:
    yield _INTRODUCTION
    for name in JSON_SHAPES:
        schema = json_schema(name)
        yield f"## `{name}`" if " " not in name else f"## {name}"
        yield from _fields(schema)
        for part, inner in schema.get("$defs", {}).items():
            if "properties" in inner:
                yield f"### {part} {{: #{_anchor(name, part)} }}"
                yield from _fields(inner)


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    yield schema["description"]
    required = schema.get("required", ())
    yield table(
        ("Field", "Type", "Meaning"),
        [
            (f"`{name}`", _type(field), field["description"] + ("" if name in required else " *Optional.*"))
            for name, field in schema.get("properties", {}).items()
        ],
    )


def _anchor(shape: str, part: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in f"{shape} {part}").lower().split())


def _type(schema: Mapping[str, Any]) -> str:
    """A field's type in words."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(option) for option in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            return f"list of {', '.join(_type(item) for item in schema['prefixItems'])}"
        case "array":
            return f"list of {_type(schema.get('items', {}))}"
        case "object" if isinstance(values := schema.get("additionalProperties"), Mapping):
            return f"mapping to {_type(values)}"
        case "object":
            return "mapping"
        case None:
            return "any value"
        case kind:
            return str(kind)
