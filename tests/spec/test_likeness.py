"""`like: NAME`: the same graph and keys as the spec spelled out, errors and places where a value is written."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from astro_factory.core.errors import UserError
from astro_factory.spec import compile_spec
from astro_factory.spec.likeness import spell_out
from astro_factory.spec.reader import Document, parse_yaml
from astro_factory.spec.schema import spec_schema
from tests.spec.test_sweeps import check, keys, write

SPEC = """\
factory: 1
name: swept
params: {seed: 0, lr: 1e-3}
models: {blank: {kind: init, architecture: {hidden_size: 64}}, wide: {like: blank, architecture: {hidden_size: 128}}}
problems:
  train: {kind: countdown, count: 20, seed: ${params.seed}}
  test: {like: train, count: 5, split: test}
engines: {cpu: {kind: transformers, threads: 2}, exact: {like: cpu, dtype: float32}}
search_policies:
  mcts: {kind: mcts, iterations: 2, stop: {right: 1, wrong_distinct: 2}}
  long: {like: mcts, iterations: 3, stop: {right: 2}}
templates: {a: reflection/terse.jinja, b: reflection/direct.jinja}
suites: {puzzles: {problems: [test], samples: 2}, more: {like: puzzles, samples: 4}}
stages:
  drill: {kind: practice, count: 10}
  base: {kind: sft, model: blank, data: drill, learning_rate: ${params.lr}, epochs: 2, launch: {processes: 2}}
  trees: {kind: search, policy: long, model: base, engine: exact, problems: train}
  traces: {kind: linearize, trees: trees, template: a, seed: ${params.seed}}
  direct: {like: traces, template: b, seed: null}
  direct_sft:
    like: astro_sft
    data: direct
  astro_sft: {like: base, data: traces, epochs: null, model: base}
  report: {kind: evaluate, suite: more, engine: cpu, arms: [direct_sft, astro_sft]}
publish:
  data: {repo: "file:out", artifacts: [traces]}
  other: {like: data, repo: "file:elsewhere"}
"""
SPELLED_OUT = """\
factory: 1
name: swept
params: {seed: 0, lr: 1e-3}
models:
  blank: {kind: init, architecture: {hidden_size: 64}}
  wide: {kind: init, architecture: {hidden_size: 128}}
problems:
  train: {kind: countdown, count: 20, seed: ${params.seed}}
  test: {kind: countdown, count: 5, split: test, seed: ${params.seed}}
engines: {cpu: {kind: transformers, threads: 2}, exact: {kind: transformers, threads: 2, dtype: float32}}
search_policies:
  mcts: {kind: mcts, iterations: 2, stop: {right: 1, wrong_distinct: 2}}
  long: {kind: mcts, iterations: 3, stop: {right: 2, wrong_distinct: 2}}
templates: {a: reflection/terse.jinja, b: reflection/direct.jinja}
suites: {puzzles: {problems: [test], samples: 2}, more: {problems: [test], samples: 4}}
stages:
  drill: {kind: practice, count: 10}
  base: {kind: sft, model: blank, data: drill, learning_rate: ${params.lr}, epochs: 2, launch: {processes: 2}}
  trees: {kind: search, policy: long, model: base, engine: exact, problems: train}
  traces: {kind: linearize, trees: trees, template: a, seed: ${params.seed}}
  direct: {kind: linearize, trees: trees, template: b}
  astro_sft: {kind: sft, model: base, data: traces, learning_rate: ${params.lr}, launch: {processes: 2}}
  direct_sft: {kind: sft, model: base, data: direct, learning_rate: ${params.lr}, launch: {processes: 2}}
  report: {kind: evaluate, suite: more, engine: cpu, arms: [direct_sft, astro_sft]}
publish:
  data: {repo: "file:out", artifacts: [traces]}
  other: {repo: "file:elsewhere", artifacts: [traces]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("likeness")


def written(folder: Path, text: str = SPEC) -> Path:
    (folder / "spec.yaml").write_text(text)
    return folder / "spec.yaml"


def line_of(text: str, spec: str = SPEC) -> int:
    (number,) = (number for number, line in enumerate(spec.splitlines(), start=1) if text in line)
    return number


def test_it_is_the_spec_spelled_out(folder):
    whole, short = compile_spec(written(folder, SPELLED_OUT)), compile_spec(written(folder))
    assert keys(short) == keys(whole) and short.source == whole.source
    assert {name: node.config for name, node in short.nodes.items()} == {n: o.config for n, o in whole.nodes.items()}


def test_what_others_are_like_is_used(folder):
    assert [(found.code, found.place.line) for found in compile_spec(written(folder)).warnings] == [("W102", 4)]


def test_the_schema_takes_it():
    valid = Draft202012Validator(spec_schema()).is_valid
    spec = parse_yaml(SPEC, "s.yaml").data
    assert valid(json.loads(json.dumps(spec)))
    spec["stages"]["direct_sft"]["dtaa"] = 1
    assert not valid(json.loads(json.dumps(spec)))


def patched(target: Any, patch: Any) -> Any:
    """JSON Merge Patch, as RFC 7386 writes it down."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = patched(result.get(name), value)
    return result


bodies = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.none() | st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
        lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=5,
    ),
)


@settings(max_examples=200)
@given(st.lists(bodies, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_a_chain_is_a_chain_of_merge_patches(chain, random):
    entries = {f"e{number}": {"like": f"e{number - 1}", **body} for number, body in enumerate(chain)}
    entries["e0"].pop("like")
    order = random.sample(list(entries), len(entries))
    document = Document({"stages": {name: entries[name] for name in order}})
    before = copy.deepcopy(document.data)
    raw = document.data
    assert spell_out(document) == [] and raw == before
    expected = chain[0]
    for number, body in enumerate(chain):
        expected = expected if number == 0 else patched(expected, body)
        assert document.data["stages"][f"e{number}"] == expected
    for path, source in document.likes.items():
        assert at(document.data, path) == at(document.data, source)


def at(value: Any, path: tuple) -> Any:
    for part in path:
        value = value[part]
    return value


OVERRIDES = [
    (["stages.base.epochs=3"], []),
    (["stages.astro_sft.learning_rate=1e-4"], ["stages.direct_sft.learning_rate=1e-4"]),
    (["stages.astro_sft.launch.processes=1"], ["stages.direct_sft.launch.processes=1"]),
    (["stages.base.launch=null"], ["stages.astro_sft.launch=null", "stages.direct_sft.launch=null"]),
    (["stages.direct_sft.launch=null"], []),
    (["stages.traces.seed=5"], []),
    (["search_policies.mcts.stop.wrong_distinct=7"], ["search_policies.long.stop.wrong_distinct=7"]),
    (["search_policies.mcts.stop.right=7"], []),
    (["params.lr=0.1"], []),
]  # fmt: skip


@pytest.mark.parametrize(("sets", "more"), OVERRIDES)
def test_an_override_reaches_what_is_like_its_entry(folder, sets, more):
    short, whole = (
        compile_spec(written(folder), sets=sets),
        compile_spec(written(folder, SPELLED_OUT), sets=sets + more),
    )
    assert keys(short) == keys(whole)


def test_an_override_or_a_profile_can_move_or_remove_the_likeness(folder):
    moved = compile_spec(written(folder), sets=["stages.direct_sft.like=base"]).nodes["direct_sft"].config
    assert (moved.epochs, moved.model, moved.data) == (2, "blank", "direct")
    path = written(
        folder, SPEC + "profiles: {alone: {suites.more: {problems: [train]}, stages.direct_sft.like: null}}\n"
    )
    with pytest.raises(UserError, match="E114") as caught:
        compile_spec(path, profile="alone")
    assert [found.code for found in caught.value.diagnostics] == ["E114"]


PLACES = [
    ("learning_rate", "params: {"),
    ("data", "data: direct"),
    ("model", "astro_sft: {like"),
    ("launch", "base: {kind: sft"),
]


@pytest.mark.parametrize(("field", "line"), PLACES)
def test_a_value_is_found_at_the_line_that_says_it(folder, field, line):
    node = compile_spec(written(folder)).nodes["direct_sft"]
    assert node.locate((field,)).line == line_of(line)
    assert node.place.line == line_of("  direct_sft:")


def test_an_override_is_the_place_of_what_is_like_it(folder):
    graph = compile_spec(written(folder), sets=["stages.base.learning_rate=1"])
    assert graph.nodes["direct_sft"].locate(("learning_rate",)).file == "--set stages.base.learning_rate=1"


def test_an_error_points_at_the_line_that_says_the_value(folder):
    """The value is wrong only for the entry that inherits it."""
    spec = SPEC + "  third: {like: other, artifact: traces}\n"
    with pytest.raises(UserError) as caught:
        compile_spec(written(folder, spec))
    (found,) = caught.value.diagnostics
    places = found.place.line, found.used_at.line
    assert found.code == "E116" and places == (line_of("artifacts: [traces]", spec), line_of("third", spec))


AXES = {
    "stages.base.learning_rate": [1e-3, 1e-4],
    "stages.base.epochs": [1, 2],
    "stages.astro_sft.learning_rate": [1e-3, 1e-4],
    "stages.astro_sft.data": ["traces", "drill"],
    "stages.astro_sft.launch": [{"processes": 2}, {"processes": 1}],
    "stages.astro_sft.warmup_steps": [None, 3],
    "stages.direct_sft.like": ["astro_sft", "base"],
    "stages.direct_sft.learning_rate": [1e-3, 1e-2],
    "stages.direct_sft.warmup_steps": [None, 2],
    "stages.traces.seed": [0, 1],
    "stages.traces.per_problem": [1, 2],
    "search_policies.mcts.stop.wrong_distinct": [1, 2],
    "search_policies.mcts.stop.right": [1, 2],
    "search_policies.mcts.iterations": [1, 2],
    "engines.cpu.dtype": ["auto", "float32"],
    "suites.puzzles.samples": [2, 3],
    "suites.puzzles.max_tokens": [32, 64],
    "problems.train.count": [20, 30],
    "problems.train.numbers": [[3], [4]],
    "params.seed": [0, 1],
}


@settings(max_examples=30)
@given(st.lists(st.sampled_from(list(AXES)), min_size=1, max_size=3, unique=True))
def test_a_variant_is_the_spec_with_set(folder, names):
    axes = {name: AXES[name] for name in names}
    try:
        check(write(folder, axes, spec=SPEC), axes)
    except UserError as error:
        assert {found.code for found in error.diagnostics} == {"E161"}


SHARED = [
    ({"stages.astro_sft.learning_rate": [1, 2]}, {"astro_sft": 2, "direct_sft": 2, "base": 1, "report": 2}),
    ({"stages.astro_sft.data": ["traces", "drill"]}, {"astro_sft": 2, "direct_sft": 1, "report": 2}),
    ({"stages.traces.per_problem": [1, 2]}, {"traces": 2, "direct": 2, "direct_sft": 2, "trees": 1}),
    ({"stages.traces.template": ["a", "b"]}, {"traces": 2, "direct": 1, "direct_sft": 1}),
    ({"stages.traces.seed": [1, 2]}, {"traces": 2, "direct": 1}),
    ({"search_policies.mcts.stop.wrong_distinct": [1, 2]}, {"trees": 2, "base": 1}),
    ({"stages.astro_sft.warmup_steps": [None, 3]}, {"astro_sft": 2, "direct_sft": 2}),
    ({"suites.puzzles.max_tokens": [32, 64]}, {"report": 2, "direct_sft": 1}),
]


@pytest.mark.parametrize(("axes", "counts"), SHARED, ids=lambda value: next(iter(value)))
def test_variants_share_what_says_the_value_itself(folder, axes, counts):
    graph = check(write(folder, axes, spec=SPEC), axes)
    names = [name.partition("[")[0] for name in graph.nodes]
    assert {name: names.count(name) for name in counts} == counts


def test_a_variants_value_is_found_in_the_sweep(folder):
    path = write(folder, {"stages.base.learning_rate": [1, 2]}, spec=SPEC)
    place = compile_spec(path, sweep="all").nodes["direct_sft[learning_rate=2]"].locate(("learning_rate",))
    assert place.line == path.read_text().count("\n")


def test_a_long_chain(folder):
    rows = "".join(
        f"  s{n}: {{like: {f's{n - 1}' if n else 'drill'}, count: {n + 1}}}\n" for n in reversed(range(2000))
    )
    assert len(compile_spec(written(folder, SPEC.replace("publish:", f"{rows}publish:"))).nodes) == 2014
