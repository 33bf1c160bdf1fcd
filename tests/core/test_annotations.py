"""Definitions go in and references come out, at any depth of a configuration."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter

from astro_factory.core.annotations import marked, model_at, substitute
from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import Config, Definition, Reference


class Small(Config):
    kind: Literal["small"]
    size: int = 1
    source: Annotated[str, Reference((ArtifactType.MODEL,))] = "m"


class Large(Config):
    kind: Literal["large"]
    parts: list[Annotated[str, Reference((ArtifactType.TREES,))]] = Field(default_factory=list)


Tool = Annotated[Small | Large, Field(discriminator="kind")]
ToolField = Annotated[Tool, Definition("tools")]
Name = Annotated[str, Reference((ArtifactType.TRACES,))]


class Whole(Config):
    tool: ToolField | None = None
    tools: list[ToolField] = Field(default_factory=list)
    by_name: dict[str, ToolField] = Field(default_factory=dict)
    pair: tuple[Name, ToolField] | None = None
    counts: dict[Name, int] = Field(default_factory=dict)
    data: Name | list[Name] | None = None
    free: dict[str, Any] = Field(default_factory=dict)


RAW = {
    "tool": "hammer",
    "tools": ["saw", {"kind": "small"}],
    "by_name": {"x": "saw"},
    "pair": ["t", "hammer"],
    "counts": {"a": 1},
    "data": ["b", "c"],
    "free": {"tool": "hammer"},
}
TOOLS = {"hammer": Small(kind="small", source="n"), "saw": Large(kind="large", parts=["p", "q"])}


def test_every_name_becomes_its_value():
    asked = []

    def resolve(definition, name, path):
        asked.append((definition.section, name, path))
        return TOOLS[name]

    filled = substitute(Whole, RAW, ("stages", "x"), resolve)
    assert asked == [
        ("tools", "hammer", ("stages", "x", "tool")),
        ("tools", "saw", ("stages", "x", "tools", 0)),
        ("tools", "saw", ("stages", "x", "by_name", "x")),
        ("tools", "hammer", ("stages", "x", "pair", 1)),
    ]
    whole = TypeAdapter(Whole).validate_python(filled)
    assert (
        whole.tool == TOOLS["hammer"] and whole.tools[1] == Small(kind="small") and whole.pair == ("t", TOOLS["hammer"])
    )
    assert whole.free == {"tool": "hammer"} and RAW["tool"] == "hammer"


def test_every_reference_with_its_path():
    raw = RAW | {"tool": TOOLS["hammer"], "tools": list(TOOLS.values()), "by_name": {}, "pair": ("t", TOOLS["hammer"])}
    whole = TypeAdapter(Whole).validate_python(raw)
    assert [(path, name) for path, _, name in marked(Whole, whole, Reference)] == [
        (("tool", "source"), "n"),
        (("tools", 0, "source"), "n"),
        (("tools", 1, "parts", 0), "p"),
        (("tools", 1, "parts", 1), "q"),
        (("pair", 0), "t"),
        (("pair", 1, "source"), "n"),
        (("counts", "a"), "a"),
        (("data", 0), "b"),
        (("data", 1), "c"),
    ]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ((), ["tool", "tools", "by_name", "pair", "counts", "data", "free"]),
        (("tools", 0), ["kind", "parts"]),
        (("tools", 1), ["kind", "size", "source"]),
        (("by_name", "x"), ["kind", "size", "source"]),
        (("free", "x"), []),
        (("nothing",), []),
    ],
)
def test_model_at(path, names):
    raw = {"tools": [{"kind": "large"}, {"kind": "small"}], "by_name": {"x": {"kind": "small"}}}
    model = model_at(Whole, raw, path)
    assert list(model.model_fields if model else ()) == names
