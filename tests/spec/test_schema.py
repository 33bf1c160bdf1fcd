"""The JSON Schema: the checked-in file is current, shipped specs are valid, unknown keys are rejected."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from astro_factory.core.shipped import shipped_folder
from astro_factory.spec.reader import read_yaml
from astro_factory.spec.schema import schema_text, spec_schema

SPECS = shipped_folder("specs")
CHECKED_IN = SPECS / "astro-factory.schema.json"
SHIPPED = sorted(SPECS.rglob("*.yaml"))
VALIDATOR = Draft202012Validator(spec_schema())


def as_json(path: Path) -> Any:
    return json.loads(json.dumps(read_yaml(path, path.name).data))


def named(path: Path) -> str:
    return str(path.relative_to(SPECS))


def test_the_checked_in_file_is_current():
    assert schema_text() == CHECKED_IN.read_text(encoding="utf-8"), (
        "the language has changed: astro-factory schema > specs/astro-factory.schema.json"
    )
    Draft202012Validator.check_schema(spec_schema())


@pytest.mark.parametrize("path", SHIPPED, ids=named)
def test_a_shipped_spec_is_valid_and_names_the_schema(path):
    assert not [error.message for error in VALIDATOR.iter_errors(as_json(path))]
    modeline = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))
    assert (path.parent / modeline[1]).resolve() == CHECKED_IN.resolve()


def mappings(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Paths of all mappings whose keys the language defines."""
    if isinstance(value, dict):
        if path and path[0] not in ("params", "profiles", "templates") and len(path) != 1:
            yield path
        for key, item in value.items():
            yield from mappings(item, (*path, key))


FREE = {"numbers", "skills", "samples_for", "options", "responses", "wrong_branches"}
"""Fields that hold a mapping of the user's own keys."""


@pytest.mark.parametrize("path", SHIPPED, ids=named)
def test_an_unknown_key_is_rejected_everywhere(path):
    whole = as_json(path)
    for place in [(), *(place for place in mappings(whole) if not FREE & set(place))]:
        broken = deepcopy(whole)
        inner = broken
        for part in place:
            inner = inner[part]
        inner["unknown_key"] = 1
        assert not VALIDATOR.is_valid(broken), place


BROKEN = [
    ("problems: {a: {kind: countdown, count: many}}", "problems: {a: {kind: countdown, count: '${params.n}'}}"),
    ("problems: {a: {kind: countdwon, count: 1}}", "problems: {a: {kind: countdown, count: 1}}"),
    ("problems: {a: {kind: countdown}}", "problems: {a: '${params.whole}'}"),
    ("stages: {a: {kind: search, model: [m], engine: e, policy: p, problems: t}}",
     "stages: {a: {kind: search, model: m, engine: {kind: vllm}, policy: p, problems: t}}"),
    ("stages: {a: {kind: search, model: m, engine: {kind: vlm}, policy: p, problems: t}}",
     "stages: {a: {kind: search, model: m, engine: '${params.e}', policy: {kind: best_of_n}, problems: t}}"),
    ("factory: 2", "factory: 1"),
    ("engines: [cpu]", "engines: {cpu: {kind: transformers}}"),
    ("include: {a: b}", "include: a.yaml"),
    ("profiles: {smoke: [a]}", "profiles: {smoke: {stages.a.seed: 1}}"),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "sound"), BROKEN)
def test_values(broken, sound, tmp_path):
    for text, valid in ((broken, False), (sound, True)):
        (tmp_path / "s.yaml").write_text(text)
        assert VALIDATOR.is_valid(as_json(tmp_path / "s.yaml")) is valid, text


def test_fields_carry_their_documentation():
    schema = spec_schema()
    undocumented = [
        f"{name}.{field}"
        for name, model in schema["$defs"].items()
        for field, value in model.get("properties", {}).items()
        if field != "kind" and not value.get("description")
    ]
    assert not undocumented
    assert not [key for key, value in schema["properties"].items() if not value.get("description")]
