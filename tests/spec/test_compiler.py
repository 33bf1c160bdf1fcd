"""What a valid spec compiles to, and the errors of overrides and templates."""

import subprocess
import sys
from pathlib import Path

import pytest

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.errors import Place, UserError
from astro_factory.spec import compile_spec

TEMPLATES = Path(__file__).parents[1] / "broken_specs/templates/reflection"
HEAVY = {"torch", "transformers", "trl", "vllm", "datasets", "pyarrow", "numpy", "huggingface_hub"}

SPEC = """\
factory: 1
name: sound
include: [common/sets.yaml]
params: {seed: 3, org: me, words: [numbers, target]}
templates: {sober: reflection/sober.jinja, spare: reflection/sober.jinja}
models:
  m: {kind: init, vocabulary: {words: "${params.words}", word_sources: [sober]}, seed: ${params.seed}}
engines:
  cpu: {kind: transformers, threads: 2}
  unused: {kind: transformers}
search_policies:
  small: {kind: mcts, rollouts: 2, iterations: 2}
suites:
  puzzles: {problems: [test, extra], samples: 2}
stages:
  report: {kind: evaluate, suite: puzzles, engine: cpu, arms: [m, base]}
  base: {kind: sft, model: m, data: drill, learning_rate: 1e-3}
  drill: {kind: practice, count: 10, seed: ${params.seed}}
  trees: {kind: search, policy: small, model: base, engine: {kind: transformers}, problems: test}
  traces: {kind: linearize, trees: trees, template: sober}
publish:
  data: {repo: "${params.org}/sound", artifacts: [trees, traces]}
profiles:
  smoke: {stages.drill.count: 2, engines.cpu.threads: 1, params.seed: 4}
"""
SETS = """\
problems:
  test: {kind: countdown, count: 5, split: test}
  extra: {kind: file, path: extra.jsonl}
suites:
  offered: {problems: [test]}
"""


@pytest.fixture
def spec(tmp_path) -> Path:
    for folder in ("specs/common", "templates/reflection"):
        (tmp_path / folder).mkdir(parents=True)
    for template in TEMPLATES.glob("[as]*.jinja"):
        (tmp_path / "templates/reflection" / template.name).write_text(template.read_text())
    (tmp_path / "specs/common/sets.yaml").write_text(SETS)
    (tmp_path / "specs/extra.jsonl").write_text('{"question": "1 + 1", "answer": "2"}\n')
    (tmp_path / "specs/sound.yaml").write_text(SPEC)
    return tmp_path / "specs/sound.yaml"


def test_graph(spec):
    graph = compile_spec(spec)
    assert graph.name == "sound" and graph.lock_path == f"{spec}.lock"
    order = list(graph.nodes)
    assert all(order.index(name) < order.index(node.name) for node in graph.nodes.values() for name in node.references)
    assert set(order) == {"m", "test", "extra", "report", "base", "drill", "trees", "traces", "publish.data"}
    assert sorted(graph.nodes["report"].references) == ["base", "extra", "m", "test"]
    base = graph.nodes["base"]
    assert (base.section, base.kind, base.output, base.heavy) == ("stages", "sft", ArtifactType.MODEL, True)
    assert graph.nodes["publish.data"].references == ("trees", "traces")
    assert graph.nodes["extra"].files == {"extra.jsonl": str(spec.parent / "extra.jsonl")}
    assert graph.closure({"base"}) == {"base", "m", "drill"}


def test_names_become_values(spec):
    graph = compile_spec(spec)
    assert graph.nodes["report"].config.engine.threads == 2
    assert graph.nodes["report"].config.suite.samples == 2
    assert graph.nodes["trees"].config.policy.rollouts == 2
    assert graph.nodes["m"].config.vocabulary.words == ["numbers", "target"]
    template = graph.nodes["traces"].config.template
    assert template.entry == "reflection/sober.jinja"
    assert sorted(template.sources) == ["reflection/again.jinja", "reflection/sober.jinja"]


def test_sets_beat_the_profile_and_the_profile_the_spec(spec):
    graph = compile_spec(spec, profile="smoke", sets=["params.seed=5", "stages.drill.skills={check: 1}"])
    assert graph.nodes["drill"].config.count == 2
    assert graph.nodes["report"].config.engine.threads == 1
    assert graph.nodes["m"].config.seed == graph.nodes["drill"].config.seed == 5
    assert graph.nodes["drill"].config.skills == {"check": 1.0}
    assert "profiles" not in graph.source and graph.source["stages"]["drill"]["seed"] == 5


def test_warnings_are_only_about_entries_of_the_spec_itself(spec):
    spec.write_text(SPEC.replace("problems: [test, extra]", "problems: [test]").replace("org: me", "org: me, idle: 1"))
    assert [(found.code, found.cause, found.place.line) for found in compile_spec(spec).warnings] == [
        ("W103", "nothing reads params.idle", 4),
        ("W101", "templates.spare is never used", 5),
        ("W101", "engines.unused is never used", 10),
    ]
    spec.write_text(SPEC.replace("engines:", "  idle: {kind: init}\nengines:", 1))
    assert ("W102", "no stage needs models.idle") in {(w.code, w.cause) for w in compile_spec(spec).warnings}


@pytest.mark.parametrize(
    ("axis", "values"), [("stages.base.model", "[m, other]"), ("suites.puzzles.problems", "[[test], [test, more]]")]
)
def test_what_an_axis_names_is_used(spec, axis, values):
    more = "  other: {kind: init, like: m}\nproblems:\n  more: {like: extra}\n"
    text = SPEC.replace("engines:", f"{more}engines:", 1)
    unused = "problems.more" if "model" in axis else "models.other"
    spec.write_text(text + f"sweeps:\n  some:\n    axes: {{{axis}: {values}}}\n")
    causes = [found.cause for found in compile_spec(spec).warnings if found.code == "W102"]
    assert causes == [f"no stage needs {unused}"]


def test_a_parameter_used_only_by_a_removed_value_counts_as_read(spec):
    overrides = ["stages.drill.seed=1", "models.m.seed=1"]
    assert not [found for found in compile_spec(spec, sets=overrides).warnings if found.code == "W103"]


def test_mistakes_in_overrides_are_reported_where_they_were_made(spec, monkeypatch, golden):
    monkeypatch.chdir(spec.parent)
    spec.write_text(SPEC + "  wrong: {stages.drill.cuont: 3, stages.base.learning_rate: fast}\n")
    with pytest.raises(UserError) as caught:
        compile_spec(Path("sound.yaml"), profile="wrong", sets=["engines.cpu.threads=0", "stagges.x=1"])
    assert [(str(found.place), found.code) for found in caught.value.diagnostics] == [
        ("sound.yaml:25:11", "E104"),
        ("sound.yaml:25:61", "E115"),
        ("--set engines.cpu.threads=0", "E115"),
        ("--set stagges.x=1", "E104"),
    ]
    golden(str(caught.value))


def test_a_broken_template_is_reported_once_and_in_its_own_file(spec, monkeypatch):
    monkeypatch.chdir(spec.parents[1])
    Path("templates/reflection/again.jinja").write_text("from\n{{ start }}\n")
    with pytest.raises(UserError) as caught:
        compile_spec(Path("specs/sound.yaml"))
    (found,) = caught.value.diagnostics
    assert found.code == "E307" and found.place == Place("templates/reflection/again.jinja", 2, 4)


def test_a_template_may_be_next_to_the_spec(spec):
    (spec.parent / "mine.jinja").write_text((spec.parents[1] / "templates/reflection/sober.jinja").read_text())
    graph = compile_spec(spec, sets=["stages.traces.template=mine.jinja"])
    assert list(graph.nodes["traces"].config.template.sources) == ["mine.jinja", "reflection/again.jinja"]


def test_a_copied_workspace_compiles_alike(spec, tmp_path):
    first = compile_spec(spec)
    (tmp_path / "moved").mkdir()
    (tmp_path / "specs").rename(tmp_path / "moved/specs")
    (tmp_path / "templates").rename(tmp_path / "moved/templates")
    second = compile_spec(tmp_path / "moved/specs/sound.yaml")
    assert {n.name: n.config for n in first.nodes.values()} == {n.name: n.config for n in second.nodes.values()}


@pytest.mark.parametrize(
    "sets",
    [
        ["stages.report.suite.samples=3"],
        ["stages.report.suite=offered", "suites.offered.problems=[nothing]"],
        ["suites.puzzles=[1]"],
        ["search_policies.small.kind=mtcs"],
        ["publish.data.artifacts=trees"],
        ["models.m=5", "stages={}"],
        ["stages.drill={kind: practice, count: 99999999999999999999999999}"],
    ],
)
def test_odd_overrides_never_crash(spec, sets):
    try:
        compile_spec(spec, sets=sets)
    except UserError as error:
        assert all(found.place and found.cause for found in error.diagnostics)


def test_compiling_loads_nothing_heavy(spec):
    code = (
        "import sys; from pathlib import Path; from astro_factory.spec import compile_spec\n"
        f"compile_spec(Path({str(spec)!r}))\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=TEMPLATES.parents[3], check=True
    )
    assert done.stdout.strip() == "[]"
