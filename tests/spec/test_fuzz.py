"""For any spec or template, `check` ends with a graph or with readable errors: no traceback, no hang.

`ASTRO_FUZZ=20000 pytest tests/spec/test_fuzz.py` tries more, and other examples each time.
"""

import copy
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from astro_factory.core.error_catalogue import catalogue
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.shipped import shipped_folder
from astro_factory.spec import compile_spec
from astro_factory.spec.compose import load
from astro_factory.spec.schema import spec_schema
from astro_factory.traces.template_loader import compile_template

LONG = int(os.environ.get("ASTRO_FUZZ", 0))
SPECS, TEMPLATES = shipped_folder("specs"), shipped_folder("templates")
PIECES = [
    Path(__file__).parents[1] / "plan/all_kinds.yaml",
    Path(__file__).parents[1] / "broken_specs/parts/base.yaml",
    SPECS / "my_problems.yaml",
]
CODES = catalogue().keys()


def fuzz(examples: int) -> settings:
    """This many examples, the same each time; taking longer than any real spec counts as a hang."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(max_examples=LONG or examples, derandomize=not LONG, deadline=20_000, suppress_health_check=checks)


def legible(found: list[Diagnostic]) -> bool:
    """Whether every diagnostic has all that a user needs."""
    json.dumps([diagnostic.as_json() for diagnostic in found])
    return bool(found) and all(d.code in CODES and d.cause and d.remedy and d.place for d in found)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A copy of the shipped specs and templates, to break."""
    folder = tmp_path_factory.mktemp("workspace")
    for name in (SPECS, TEMPLATES):
        shutil.copytree(name, folder / name.name)
    return folder


names = st.sampled_from(
    ["base", "m", "train", "test", "cpu", "traces", "trees", "kind", "count", "seed", "stages", "like", ""]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 70)
    | st.sampled_from([10**30, 1e-5, -0.5, 1e308, 1.5])
    | names
    | st.text(max_size=6)
    | st.sampled_from(
        ["${params}", "${params.seed}", "${stages}", "${}", "${x.0}", "a${params.seed}b", "../..", "\0", "no"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.integers(0, 9), inner, max_size=3),
    max_leaves=6,
)


def paths(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths of everything in a value; of a long list only the first items."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, item in items:
        found += paths(item, (*path, key))
    return found


def changed(data: st.DataObject, spec: dict[str, Any]) -> dict[str, Any]:
    """A spec with one to three changes: a value replaced, a key renamed, removed or added."""
    for _ in range(data.draw(st.integers(1, 3))):
        if not (known := paths(spec)):
            return spec
        *parents, last = data.draw(st.sampled_from(known))
        here: Any = spec
        for part in parents:
            here = here[part]
        change = data.draw(st.sampled_from(["value", "value", "rename", "remove", "add", "swap"]))
        if change == "value":
            here[last] = data.draw(values)
        elif change == "swap":
            here[last] = copy.deepcopy(_at(spec, data.draw(st.sampled_from(known))))
        elif change == "remove":
            del here[last]
        elif isinstance(here, dict):
            value = here.pop(last) if change == "rename" else data.draw(values)
            here[data.draw(names | st.text(max_size=4))] = value
    return spec


def _at(value: Any, path: tuple) -> Any:
    for part in path:
        value = value[part]
    return value


@pytest.mark.slow
@pytest.mark.parametrize("path", PIECES, ids=lambda path: path.stem)
@fuzz(60)
@given(data=st.data())
def test_any_values(workspace, path, data):
    spec = {"factory": 1, "name": "fuzzed", **load(path).data}
    text = json.dumps(changed(data, spec))  # YAML 1.2 contains JSON
    target = workspace / "specs/fuzzed.yaml"
    target.write_text(text)
    try:
        compile_spec(target, profile=data.draw(st.sampled_from([None, None, "smoke"])))
    except UserError as error:
        assert legible(error.diagnostics)


@fuzz(60)
@given(data=st.data())
def test_what_compiles_is_valid_in_the_schema(workspace, data):
    spec = changed(data, {"factory": 1, "name": "fuzzed", **load(PIECES[1]).data})
    target = workspace / "specs/fuzzed.yaml"
    target.write_text(json.dumps(spec))
    try:
        compile_spec(target)
    except UserError:
        return
    assert not [error.message for error in VALIDATOR.iter_errors(spec)]


VALIDATOR = Draft202012Validator(spec_schema())


def broken(data: st.DataObject, raw: bytes) -> bytes:
    """A file with one to four random edits."""
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        end = min(len(raw), start + data.draw(st.sampled_from([0, 1, 1, 2, 8, 60])))
        piece = data.draw(
            st.binary(max_size=3)
            | st.sampled_from(
                [b"\t", b": ", b"- ", b"{", b"}", b"[", b"'", b'"', b"*a", b"&a ", b"!!x ", b"${", b"}}", b"{%"]
            )
            | st.just(raw[start:end] * 2)
        )
        raw = raw[:start] + piece + raw[end:]
    return raw


FILES = [path for path in sorted(SPECS.rglob("*.yaml")) if path.stat().st_size < 20_000]


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@fuzz(12)
@given(data=st.data())
def test_any_bytes_of_a_spec(workspace, path, data):
    """Included parts are broken in place; tiny_llama.yaml is skipped, since it is mostly a word list."""
    target = workspace / path.relative_to(SPECS.parent)
    raw = broken(data, path.read_bytes())
    target.write_bytes(raw)
    whole = target if target.parent.name == "specs" else workspace / "specs/llama3_8b.yaml"
    profile = data.draw(st.sampled_from([None, "smoke"]))
    try:
        compile_spec(whole, profile=profile)
    except UserError as error:
        assert legible(error.diagnostics)
    finally:
        target.write_bytes(path.read_bytes())


WORDINGS = sorted((TEMPLATES / "reflection").glob("*.jinja"))


@pytest.mark.parametrize("path", WORDINGS, ids=lambda path: path.stem)
@fuzz(15)
@given(data=st.data())
def test_any_bytes_of_a_template(workspace, path, data):
    target = workspace / path.relative_to(TEMPLATES.parent)
    target.write_bytes(broken(data, path.read_bytes()))
    try:
        compile_template(f"reflection/{path.name}", [workspace / "templates"])
    except UserError as error:
        assert all(d.code in CODES and d.cause for d in error.diagnostics)
    finally:
        target.write_bytes(path.read_bytes())


@pytest.mark.slow
@fuzz(150)
@given(
    st.lists(
        st.sampled_from(
            ["stages.drill.count", "params.seed", "templates", "stages", "a.0.b", "", ".", "problems.train"]
        )
        | st.text(max_size=8),
        min_size=1,
        max_size=2,
    ),
    st.sampled_from(["1", "{", "[]", "null", "${params.org}", "${stages}", "a: b", "\ud800", "-\n-", "&a [*a]", "'"])
    | st.text(max_size=8),
)
def test_any_override(dotted, value):
    path = PIECES[1].parents[1] / "wording.yaml"
    try:
        compile_spec(path, sets=[f"{name}={value}" for name in dotted])
    except UserError as error:
        assert legible(error.diagnostics)
        assert not re.search(r"<object object|UNRESOLVED", str(error))
