"""A record holds everything that an output can depend on: every leaf of every kind's config changes the key unless its
field is marked as not semantic."""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from astro_factory.core.annotations import alternatives, field_annotation, unwrap
from astro_factory.core.config import LATER, InputFile, NotSemantic, Reference, Rounding, StageConfig, semantic_values
from astro_factory.plan.records import lineage, make_record, record_key
from astro_factory.plan.revisions import open_revision
from astro_factory.spec import compile_spec
from astro_factory.stages import KINDS

HERE = Path(__file__).parent
GRAPH = compile_spec(HERE / "all_kinds.yaml")
CONTENTS = defaultdict(lambda: "unknown", {name: f"content of {name}" for name in GRAPH.nodes})


def key(node, contents=CONTENTS, commits=None) -> str:
    return record_key(make_record(node, contents, commits or {}))


def markers_of(annotation: Any) -> list[Any]:
    """The markers that a value of the annotation may stand under."""
    return [marker for option in alternatives(annotation) for marker in unwrap(option)[1]]


def mutants(value: Any, path: tuple = (), semantic: bool = True, markers: tuple = ()) -> Iterator[tuple]:
    """Every (path, semantic, markers, changed) where `changed` is the value with one leaf moved; nothing is checked."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            found = markers_of(field_annotation(type(value), name))
            counts = semantic and not any(isinstance(marker, NotSemantic) for marker in found)
            for inner in mutants(getattr(value, name), (*path, name), counts, tuple(found)):
                yield (*inner[:3], value.model_copy(update={name: inner[3]}))
    elif isinstance(value, dict) and value:
        for name, item in value.items():
            for inner in mutants(item, (*path, name), semantic):
                yield (*inner[:3], value | {name: inner[3]})
        yield (*path, "more"), semantic, (), value | {"more": 1}
    elif isinstance(value, list | tuple) and value:
        for index, item in enumerate(value):
            for inner in mutants(item, (*path, index), semantic, markers):
                yield (*inner[:3], type(value)([*value[:index], inner[3], *value[index + 1 :]]))
        yield (*path, "shorter"), semantic, (), type(value)(value[:-1])
    else:
        yield path, semantic, markers, moved(value)


def moved(value: Any) -> Any:
    """Another value of about the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x" if isinstance(value, str) else ["x"]


@pytest.mark.parametrize("name", list(GRAPH.nodes))
def test_every_leaf_moves_the_key_unless_it_is_marked(name):
    node = GRAPH.nodes[name]
    before, seen, wrong = key(node), 0, []
    for path, semantic, markers, config in mutants(node.config):
        named = [marker for marker in markers if isinstance(marker, Reference)]
        if any(isinstance(marker, InputFile) for marker in markers):
            continue  # counts by content: below
        contents = CONTENTS
        if named and not any(marker.named for marker in named):
            contents = defaultdict(lambda: "another content", CONTENTS)  # another artifact under the field
        if (key(replace(node, config=config), contents) != before) is not semantic:
            wrong.append((path, semantic))
        seen += 1
    assert not wrong and seen >= 3


def test_a_lineage_ignores_what_moves_only_the_last_bits():
    seen = set()
    for node in GRAPH.nodes.values():
        before = lineage(node, make_record(node, CONTENTS, {}))
        for path, semantic, markers, config in mutants(node.config):
            if any(isinstance(marker, InputFile) for marker in markers) or not before:
                continue
            rounds = any(isinstance(marker, Rounding) for marker in markers)
            other = replace(node, config=config)
            # another name of an artifact is the same artifact
            same = rounds or not semantic or key(other) == key(node)
            assert (lineage(other, make_record(other, CONTENTS, {})) == before) is same, path
            seen |= {path[-1]} if rounds else set()
    assert seen >= {"attention", "threads", "micro_batches", "micro_batch_size"}


def test_a_field_that_left_the_key_keeps_its_place_in_the_record():
    """Keys of the default, from before the field left, stay valid."""
    node = GRAPH.nodes["tuned"]
    for value in (False, True):
        config = node.config.model_copy(update={"gradient_checkpointing": value})
        assert make_record(replace(node, config=config), CONTENTS, {})["config"]["gradient_checkpointing"] is False
        assert semantic_values(config)["gradient_checkpointing"] is False


def test_the_spec_has_every_kind():
    assert {node.module for node in GRAPH.nodes.values()} >= {
        module
        for section in KINDS.values()
        for module in section.values()
        if module.rsplit(".", 1)[1] not in ("local", "gguf", "reasoning_gym", "dialogues")
    }


@pytest.mark.parametrize("name", [name for name, node in GRAPH.nodes.items() if node.references])
def test_the_content_of_every_input_moves_the_key(name):
    node = GRAPH.nodes[name]
    keys = {key(node, CONTENTS | {reference: "new"}) for reference in node.references}
    assert len(keys) == len(node.references) and key(node) not in keys


def test_kind_section_and_version_move_the_key():
    node = GRAPH.nodes["drill"]
    others = [replace(node, version=2), replace(node, kind="other"), replace(node, section="models")]
    assert len({key(other) for other in [node, *others]}) == 4


def test_a_name_counts_only_where_it_shows_in_the_output(tmp_path):
    text = (HERE / "all_kinds.yaml").read_text().replace("  base: ", "  start: ")
    for field in ("model: base", "[base,", ", base]"):
        text = text.replace(field, field.replace("base", "start"))
    (tmp_path / "renamed.yaml").write_text(text)
    (tmp_path / "problems.jsonl").write_bytes((HERE / "problems.jsonl").read_bytes())
    renamed, contents = compile_spec(tmp_path / "renamed.yaml").nodes, CONTENTS | {"start": CONTENTS["base"]}
    assert key(GRAPH.nodes["tuned"]) == key(renamed["tuned"], contents)
    assert key(GRAPH.nodes["report"]) != key(renamed["report"], contents)


@pytest.mark.parametrize("change", ["content", "suffix", "folder"])
def test_input_files_count_by_content(tmp_path, change):
    node = GRAPH.nodes["mine"]
    path = tmp_path / "problems.jsonl"
    path.write_bytes((HERE / "problems.jsonl").read_bytes())
    elsewhere = replace(node, files={"problems.jsonl": str(path)})
    assert key(elsewhere) == key(node)
    if change == "content":
        path.write_bytes(path.read_bytes() + b"\n")
        assert key(elsewhere) != key(node)
    elif change == "suffix":  # it decides how the bytes are read
        config = node.config.model_copy(update={"path": "problems.json"})
        assert key(replace(node, config=config, files={"problems.json": str(path)})) != key(node)
    else:
        folder = tmp_path / "folder"
        (folder / "in").mkdir(parents=True)
        inside = replace(node, files={"problems.jsonl": str(folder)})
        keys = [key(inside)]
        for name in ("a", "in/b"):
            (folder / name).write_bytes(b"1")
            keys.append(key(inside))
        (folder / "in/b").rename(folder / "in/c")
        assert len({*keys, key(inside)}) == 4


def test_a_commit_stands_in_the_place_of_its_branch():
    node = GRAPH.nodes["remote"]
    branch = replace(node, config=node.config.model_copy(update={"revision": "main"}))
    assert not open_revision(node) and open_revision(branch)
    assert key(branch, commits={"remote": node.config.revision}) == key(node)
    assert key(branch, commits={"remote": "f" * 40}) != key(node)


def test_equal_in_another_folder_and_with_other_processes(tmp_path):
    for name in ("all_kinds.yaml", "problems.jsonl"):
        (tmp_path / name).write_bytes((HERE / name).read_bytes())
    sets = ["engines.cpu.batch_size=99", "engines.server.base_urls=['http://b:2/v1']", "stages.trees.processes=3"]
    other = compile_spec(tmp_path / "all_kinds.yaml", sets=sets)
    assert {name: key(node) for name, node in other.nodes.items()} == {n: key(node) for n, node in GRAPH.nodes.items()}


CLOCK = """
import sys, time, datetime
class Then(datetime.datetime):
    now = classmethod(lambda cls, tz=None: cls(2031, 5, 17, 3, 14, tzinfo=tz))
time.time, datetime.datetime = lambda: 1937000000.5, Then
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.plan.test_records import CONTENTS, key
from astro_factory.spec import compile_spec
for name, node in compile_spec(Path({spec!r})).nodes.items():
    print(name, key(node))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["1", "4711"])
def test_equal_on_another_day_with_other_variables_and_hash_seeds(tmp_path, seed):
    for name in ("all_kinds.yaml", "problems.jsonl"):
        (tmp_path / name).write_bytes((HERE / name).read_bytes())
    code = CLOCK.format(root=str(HERE.parents[1]), spec=str(tmp_path / "all_kinds.yaml"))
    environment = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8"}
    environment |= {"HOME": str(tmp_path), "OMP_NUM_THREADS": "7", "CUDA_VISIBLE_DEVICES": "3", "ASTRO_STORE": "x"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{name} {key(node)}" for name, node in GRAPH.nodes.items()]


@given(st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_byte_of_an_input_moves_the_key(tmp_path, data):
    node, original = GRAPH.nodes["mine"], (HERE / "problems.jsonl").read_bytes()
    at = data.draw(st.integers(0, len(original) - 1))
    other = data.draw(st.sampled_from([byte for byte in range(256) if byte != original[at]]))
    path = tmp_path / "problems.jsonl"
    path.write_bytes(original[:at] + bytes([other]) + original[at + 1 :])
    assert key(replace(node, files={"problems.jsonl": str(path)})) != key(node)


@pytest.mark.parametrize("environment", [{}, {"versions": {"torch": "1"}}, {"versions": {"torch": "2"}}])
def test_the_environment_counts_only_where_a_spec_says_so(environment):
    node = GRAPH.nodes["drill"]
    strict = record_key(make_record(node, CONTENTS, {}, environment))
    others = [{}, {"versions": {"torch": "1"}}, {"versions": {"torch": "2"}}]
    assert [record_key(make_record(node, CONTENTS, {}, other)) == strict for other in others].count(True) == 1
    assert strict != key(node)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("train", "numbers", {5: 0.2, 3: 0.5, 4: 0.3}),
        ("drill", "skills", {"check": 0.3, "solve": 0.7}),
        ("drill", "numbers", {4: 0.5, 3: 0.5}),
        ("traces", "wrong_branches", {2: 0.25, 0: 0.5, 1: 0.25}),
    ],
)
def test_what_is_drawn_from_a_mapping_does_not_depend_on_its_order(name, field, value):
    """A record holds a mapping without its order, so nothing may be drawn by it."""
    config = GRAPH.nodes[name].config
    one, other = (
        type(config).model_validate(config.model_dump(exclude_unset=True) | {field: mapping})
        for mapping in (value, dict(reversed(value.items())))
    )
    assert list(getattr(one, field).items()) == list(getattr(other, field).items())


def test_the_form_of_a_record():
    """The record that keys are computed from; it changes only with SCHEME."""
    record = make_record(GRAPH.nodes["drill"], CONTENTS, {})
    assert {name: value for name, value in record.items() if name != "config"} == {
        "scheme": 1,
        "section": "stages",
        "kind": "practice",
        "version": GRAPH.nodes["drill"].version,
    }
    traces = make_record(GRAPH.nodes["traces"], CONTENTS, {})["config"]
    assert traces["trees"] == {"content": "content of trees"}
    assert traces["per_problem"] == {"direct": 1, "search": 2}
    assert list(traces["template"]["sources"]) == ["reflection/shared/words.jinja", "reflection/terse.jinja"]
    report = make_record(GRAPH.nodes["report"], CONTENTS, {})["config"]
    assert report["arms"][0] == {"name": "base", "content": "content of base"}
    assert report["samples_for"] == {"rl": {"key": {"name": "rl", "content": "content of rl"}, "value": 8}}


def test_a_later_field_is_in_the_record_only_where_it_has_another_value():
    """So keys from before the field existed stay valid."""
    plain, graded = (make_record(GRAPH.nodes[name], CONTENTS, {})["config"] for name in ("traces", "graded"))
    assert "loss_weights" not in plain and graded["loss_weights"]["wrong_step"] == 0.2
    assert "loss_weights" not in semantic_values(GRAPH.nodes["traces"].config)
    assert "loss_weights" in semantic_values(GRAPH.nodes["graded"].config)


def test_a_later_field_whose_default_a_factory_makes():
    class Made(StageConfig):
        kind: str = "made"
        words: Annotated[list[str], LATER] = Field(default_factory=list)

    assert "words" not in semantic_values(Made()) and semantic_values(Made(words=["a"]))["words"] == ["a"]
    node = GRAPH.nodes["drill"]
    records = [make_record(replace(node, config=config), {}, {})["config"] for config in (Made(), Made(words=["a"]))]
    assert "words" not in records[0] and records[1]["words"] == ["a"]
