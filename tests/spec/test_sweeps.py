"""A sweep is one graph of variants, each equal to the spec with `--set`; unaffected stages are shared."""

import json
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.core.errors import UserError
from astro_factory.core.graph import Graph, Variant
from astro_factory.plan.records import make_record, record_key
from astro_factory.spec import compile_spec

SPEC = """\
factory: 1
name: swept
params: {seed: 0, lr: 1e-3}
models: {blank: {kind: init}}
problems:
  train: {kind: countdown, count: 20, seed: ${params.seed}}
  test: {kind: countdown, count: 5, split: test}
engines: {cpu: {kind: transformers}, slow: {kind: transformers, dtype: float32}}
search_policies:
  mcts: {kind: mcts, iterations: 2, steps: prose}
  many: {kind: best_of_n, n: 4, steps: prose}
templates: {a: reflection/terse.jinja, b: reflection/direct.jinja}
suites: {puzzles: {problems: [test], samples: 2}}
stages:
  drill: {kind: practice, count: 10}
  base: {kind: sft, model: blank, data: drill, learning_rate: ${params.lr}}
  trees: {kind: search, policy: mcts, model: base, engine: cpu, problems: train}
  traces: {kind: linearize, trees: trees, template: a, seed: ${params.seed}}
  tuned: {kind: sft, model: base, data: traces, learning_rate: 1e-3}
  report: {kind: evaluate, suite: puzzles, engine: cpu, arms: [base, tuned], compare: [[tuned, base]]}
  aside: {kind: practice, count: 3}
publish:
  data: {repo: "file:out", artifacts: [traces]}
step_formats: {prose: {format: blank_line}}
"""
AXES = {
    "stages.traces.template": ["a", "b"],
    "params.seed": [0, 1, 2],
    "stages.traces.per_problem": [1, {"direct": 1, "search": 2}],
    "search_policies.mcts.iterations": [2, 4],
    "search_policies.many.n": [4, 8],
    "stages.trees.policy": ["mcts", "many"],
    "stages.tuned.data": ["traces", "drill"],
    "stages.tuned.adam_betas": [[0.9, 0.99], [0.8, 0.9]],
    "stages.tuned.adam_betas.1": [0.99, 0.95],
    "suites.puzzles.samples": [2, 4],
    "templates.a": ["reflection/terse.jinja", "reflection/direct.jinja"],
    "engines.cpu.dtype": ["auto", "float32"],
    "stages.report.arms": [["base", "tuned"], ["tuned", "base"]],
    "step_formats.prose.format": ["blank_line", "line"],
    "params.lr": [1e-3, "${params.small}"],
    "params.small": [5e-4, 1e-4],
    "problems.train.numbers": [[3], {3: 0.5, 4: 0.5}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("sweeps")


def write(folder: Path, axes: dict, more: str = "", spec: str = SPEC) -> Path:
    path = folder / "swept.yaml"
    text = ", ".join(f"{json.dumps(axis)}: {_yaml(values)}" for axis, values in axes.items())
    path.write_text(f"{spec}sweeps:\n  all: {{axes: {{{text}}}{more}}}\n")
    return path


def _yaml(value) -> str:
    """Flow YAML; unlike JSON it has whole numbers as keys."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    return f"[{', '.join(map(_yaml, value))}]" if isinstance(value, list) else json.dumps(value)


def keys(graph: Graph) -> dict[str, str]:
    """Every node's key, where an output is named by the key that made it."""
    found: dict[str, str] = {}
    for name, node in graph.nodes.items():
        found[name] = record_key(make_record(node, defaultdict(str, found), {}))
    return found


def sets(variant: Variant, axes: dict) -> list[str]:
    """`--set` for the variant."""
    return [f"{path}={_yaml(value)}" for path, value in zip(axes, variant.settings.values(), strict=True)]


def check(path: Path, axes: dict) -> Graph:
    graph = compile_spec(path, sweep="all")
    swept = keys(graph)
    for variant in graph.variants:
        alone = keys(compile_spec(path, sets=sets(variant, axes)))
        assert {name: swept[node] for name, node in variant.nodes.items()} == {n: alone[n] for n in variant.nodes}
    assert len({(name.partition("[")[0], swept[name]) for name in graph.nodes}) >= len(set(swept.values()))
    return graph


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from([a for a in AXES if a != "params.small"]), min_size=1, max_size=3, unique=True))
def test_a_variant_is_the_spec_with_set(folder, names):
    if "stages.tuned.adam_betas.1" in names:  # an entry of a list that has to be there
        names = ["stages.tuned.adam_betas", *(name for name in names if name != "stages.tuned.adam_betas")]
    axes = {name: AXES[name] for name in names}
    spec = SPEC.replace("lr: 1e-3}", "lr: 1e-3, small: 5e-4}")
    path = write(folder, axes, spec=spec)
    try:
        graph = check(path, axes)
    except UserError as error:  # only what nothing of the sweep needs
        assert {found.code for found in error.diagnostics} == {"E161"}
        return
    assert len(graph.variants) == len({tuple(map(str, v.settings.values())) for v in graph.variants})


def test_shared_stages_occur_once(folder):
    axes = {"stages.traces.template": ["a", "b"], "params.seed": [0, 1, 2]}
    graph = check(write(folder, axes, ", compare: report"), axes)
    count = defaultdict(int)
    for name in graph.nodes:
        count[name.partition("[")[0]] += 1
    assert count == {
        "blank": 1,
        "drill": 1,
        "base": 1,
        "test": 1,
        "train": 3,
        "trees": 3,
        "traces": 6,
        "tuned": 6,
        "report": 6,
    }
    assert "traces[template=b,seed=2]" in graph.nodes and "trees[seed=2]" in graph.nodes
    assert graph.nodes["tuned[template=b,seed=2]"].reads == {"base": "base", "traces": "traces[template=b,seed=2]"}
    assert graph.targets == tuple(variant.nodes["report"] for variant in graph.variants)
    assert [variant.settings for variant in graph.variants][:2] == [
        {"template": "a", "seed": 0},
        {"template": "a", "seed": 1},
    ]
    order = list(graph.nodes)
    assert all(order.index(read) < order.index(node.name) for node in graph.nodes.values() for read in node.references)


def test_an_axis_of_what_only_some_variants_use(folder):
    """Whether a policy's setting counts depends on the other axis."""
    axes = {"stages.trees.policy": ["mcts", "many"], "search_policies.many.n": [4, 8, 16]}
    graph = check(write(folder, axes, ", compare: trees"), axes)
    assert [name for name in graph.nodes if name.startswith("trees")] == [
        "trees[policy=mcts]",
        "trees[policy=many,n=4]",
        "trees[policy=many,n=8]",
        "trees[policy=many,n=16]",
    ]


@pytest.mark.parametrize(
    ("baseline", "settings"),
    [
        ("", {"template": "a", "seed": 0}),
        (", baseline: {stages.traces.template: b, params.seed: 1}", {"template": "b", "seed": 1}),
    ],
)
def test_baseline(folder, baseline, settings):
    path = write(folder, {"stages.traces.template": ["a", "b"], "params.seed": [0, 1]}, baseline)
    assert [v.settings for v in compile_spec(path, sweep="all").variants if v.baseline] == [settings]


def test_baseline_of_a_single_axis_is_its_value(folder):
    path = write(folder, {"stages.traces.template": ["a", "b"]}, ", baseline: b")
    assert [variant.baseline for variant in compile_spec(path, sweep="all").variants] == [False, True]


def test_a_long_chain(folder):
    rows = "".join(
        f"  s{n}: {{kind: sft, model: {f's{n - 1}' if n else 'blank'}, data: drill, learning_rate: 1}}\n"
        for n in range(600)
    )
    spec = SPEC.replace("publish:", f"{rows}publish:")
    graph = compile_spec(write(folder, {"stages.s1.learning_rate": [1, 2]}, ", compare: s599", spec), sweep="all")
    assert len(graph.nodes) == 3 + 599 * 2


def test_axes_are_named_by_their_shortest_ends(folder):
    path = write(
        folder, {"stages.tuned.learning_rate": [1, 2], "stages.base.learning_rate": [1, 2], "params.seed": [1]}
    )
    assert list(compile_spec(path, sweep="all").variants[0].settings) == [
        "tuned.learning_rate",
        "base.learning_rate",
        "seed",
    ]


def test_labels_tell_values_apart(folder):
    values = [1, {"direct": 1, "search": 2}]
    path = write(folder, {"stages.traces.per_problem": values}, ", compare: traces")
    names = [name for name in compile_spec(path, sweep="all").nodes if name.startswith("traces")]
    assert names == ["traces[per_problem=1]", "traces[per_problem=#1]"]


def test_names_with_dots(folder):
    spec = SPEC.replace("aside: {", "v1.5: {kind: practice, count: 3}\n  aside: {")
    axes = {"stages.v1.5.count": [1, 2]}
    graph = check(write(folder, axes, ", compare: v1.5", spec), axes)
    assert list(graph.nodes) == ["v1.5[count=1]", "v1.5[count=2]"]


def test_where_a_value_of_a_variant_is_written(folder):
    path = write(folder, {"params.seed": [0, 7], "stages.tuned.learning_rate": [1, 2]})
    graph, line = compile_spec(path, sweep="all"), path.read_text().count("\n")
    seed = graph.nodes["traces[seed=7]"].locate(("seed",))
    assert (seed.line, seed.column) == (line, path.read_text().splitlines()[-1].index("7") + 1)
    assert graph.nodes["base"].locate(("learning_rate",)).line == 3, "through ${...} to where it is written"
    assert graph.nodes["trees[seed=0]"].locate(("policy", "iterations")).line == 10, "and through names"


WRONG_VARIANTS = {
    "unknown_key": ({"stages.traces.tempalte": ["a"]}, "", "E104"),
    "wrong_value": ({"stages.tuned.learning_rate": [1, -1]}, "", "E115"),
    "wrong_type": ({"stages.tuned.data": ["traces", "base"]}, "", "E121"),
    "unknown_name": ({"stages.tuned.data": ["traces", "traecs"]}, "", "E120"),
    "cycle": ({"stages.base.data": ["drill", "traces"]}, "", "E122"),
    "unknown_template": ({"stages.traces.template": ["a", "reflection/no.jinja"]}, "", "E301"),
    "unknown_reference": ({"params.seed": [0, "${params.nothing}"]}, "", "E111"),
    "path_through_a_value": ({"params.seed.more": [0]}, "", "E110"),
    "new_entry": ({"stages.new.count": [1]}, "", "E114"),
    "not_needed": ({"stages.aside.count": [1]}, ", compare: report", "E161"),
    "no_effect": ({"name": ["x", "y"]}, "", "E161"),
    "unknown_compare": ({"params.seed": [1]}, ", compare: reprot", "E120"),
}


@pytest.mark.parametrize("case", WRONG_VARIANTS)
def test_errors_of_a_variant_point_into_the_sweep(folder, case, golden, monkeypatch):
    axes, more, code = WRONG_VARIANTS[case]
    path = write(folder, axes, more)
    monkeypatch.chdir(folder)
    with pytest.raises(UserError) as caught:
        compile_spec(path, sweep="all")
    (found,) = caught.value.diagnostics
    assert found.code == code
    golden(f"{found.cause}; {found.remedy}")
    if case != "cycle":  # it is reported at a stage
        assert found.place and found.place.line == path.read_text().count("\n")
    if "compare" not in more or case == "not_needed":
        compile_spec(path)


WRONG_SWEEPS = {
    "no_axis": ("{all: {axes: {}}}", "E115"),
    "axes_missing": ("{all: {}}", "E113"),
    "no_value": ("{all: {axes: {a.b: []}}}", "E116"),
    "duplicate": ("{all: {axes: {a.b: [1, 1]}}}", "E116"),
    "other_baseline": ("{all: {axes: {a.b: [1]}, baseline: 2}}", "E116"),
    "incomplete_baseline": ("{all: {axes: {a: [1], b: [1]}, baseline: 1}}", "E116"),
    "unknown_key": ("{all: {axes: {a: [1]}, comapre: x}}", "E104"),
    "halving_without_seeds": ("{all: {axes: {a: [1, 2]}, halving: {}}}", "E116"),
    "halving_with_too_few_seeds": ("{all: {axes: {a.seed: [1, 2]}, halving: {after: [1, 2]}}}", "E116"),
    "halving_decreasing": ("{all: {axes: {a.seed: [1, 2]}, halving: {after: [2, 1]}}}", "E116"),
    "halving_of_nothing": ("{all: {axes: {a.seed: [1, 2]}, halving: {keep: 1}}}", "E115"),
    "too_many": (f"{{all: {{axes: {{a: {list(range(101))}, b: {list(range(100))}}}}}}}", "E116"),
}


@pytest.mark.parametrize("case", WRONG_SWEEPS)
def test_every_sweep_of_a_spec_is_checked(folder, case, golden):
    sweeps, code = WRONG_SWEEPS[case]
    path = folder / "swept.yaml"
    path.write_text(f"{SPEC}sweeps: {sweeps}\n")
    with pytest.raises(UserError) as caught:
        compile_spec(path)
    (found,) = caught.value.diagnostics
    assert found.code == code and found.place and found.place.line == SPEC.count("\n") + 1
    golden(f"{found.cause}; {found.remedy}")


def test_unknown_sweep(folder):
    with pytest.raises(UserError, match=r"E160 .*; did you mean 'all'"):
        compile_spec(write(folder, {"params.seed": [1]}), sweep="al")


def test_what_only_a_sweep_names_is_used(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(SPEC + "sweeps: {p: {axes: {stages.trees.policy: [mcts, many]}}}\n", encoding="utf-8")
    assert "search_policies.many" not in str(compile_spec(path).warnings)
    path.write_text(SPEC, encoding="utf-8")
    assert "search_policies.many is never used" in str(compile_spec(path).warnings)
