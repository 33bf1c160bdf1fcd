"""`explain` names the exact field of each kind of change, and the line of the spec that made it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from astro_factory.core.plans import Plan
from astro_factory.plan import make_plan
from astro_factory.plan.explaining import Explanation, explain
from astro_factory.spec import compile_spec
from tests.plan.test_planner import Bench

SPEC = """\
factory: 1
name: explained
params: {rate: 1e-3}
models:
  blank: {kind: init, vocabulary: {word_sources: [words.jinja]}}
  base: {kind: hub, repo: org/model}
problems: {mine: {kind: file, path: problems.jsonl}}
engines: {cpu: {kind: transformers}}
search_policies: {mcts: {kind: mcts, iterations: 4}}
stages:
  drill: {kind: practice, count: 10}
  tuned: {kind: sft, model: blank, data: drill, learning_rate: ${params.rate}}
  trees: {kind: search, model: base, problems: mine, policy: mcts, engine: cpu}
sweeps:
  rates: {axes: {params.rate: [1e-3, 5e-3]}, compare: tuned}
"""
COMMITS = {"base": "a" * 40}


@pytest.fixture
def bench(tmp_path) -> Bench:
    """A spec that has been built once."""
    bench = Bench(tmp_path)
    bench.path.write_text(SPEC)
    (tmp_path / "words.jinja").write_text("{% block wrong %}\nHmm\n{% endblock %}\n")
    (tmp_path / "problems.jsonl").write_text('{"question": "1 + 1", "answer": "2"}\n')
    bench.run(bench.plan(commits=COMMITS))
    return bench


def explained(bench: Bench, stage: str, plan: Plan | None = None, commits=COMMITS) -> Explanation:
    return explain(plan or bench.plan(commits=commits), bench.store, commits, stage)


def only(bench: Bench, stage: str, **more) -> dict:
    """The one change of a stage, as JSON."""
    found = explained(bench, stage, **more)
    assert found.against == "the last build"
    (change,) = found.changes
    return change.as_json()


def at(bench: Bench, key: str) -> str:
    """The place of the value after the first `key: `."""
    for number, line in enumerate(bench.path.read_text().splitlines(), start=1):
        if (column := line.find(f"{key}: ")) >= 0:
            return f"{bench.path}:{number}:{column + len(key) + 3}"
    raise KeyError(key)


def edit(bench: Bench, old: str, new: str) -> None:
    bench.path.write_text(bench.path.read_text().replace(old, new))


def test_nothing_changed(bench):
    found = explained(bench, "trees")
    assert found.changes == () and found.planned.status == "hit" and found.previous.key == found.planned.key


def test_a_value_of_the_config(bench):
    edit(bench, "count: 10", "count: 11")
    assert only(bench, "drill") == {
        "kind": "config",
        "field": "count",
        "text": "count: 10 -> 11",
        "old": 10,
        "new": 11,
        "place": at(bench, "count"),
    }


def test_a_parameter_is_shown_where_it_is_written(bench):
    edit(bench, "rate: 1e-3", "rate: 2e-3")
    found = only(bench, "tuned")
    assert (found["text"], found["place"]) == ("learning_rate: 0.001 -> 0.002", at(bench, "rate"))


def test_a_definition_is_shown_where_it_is_written(bench):
    edit(bench, "iterations: 4", "iterations: 8")
    found = only(bench, "trees")
    assert (found["text"], found["place"]) == ("policy.iterations: 4 -> 8", at(bench, "iterations"))


def test_a_field_that_the_spec_no_longer_gives(bench):
    edit(bench, ", iterations: 4", "")
    found = only(bench, "trees")
    assert (found["text"], found["place"]) == ("policy.iterations: 4 -> 32", at(bench, "mcts"))


def test_a_line_of_a_template(bench):
    (bench.folder / "words.jinja").write_text("{% block wrong %}\nOops\n{% endblock %}\n")
    found = only(bench, "blank")
    assert (found["kind"], found["text"]) == ("template", 'words.jinja:2: "Hmm" -> "Oops"')


def test_the_bytes_of_an_input(bench):
    (bench.folder / "problems.jsonl").write_text('{"question": "1 + 2", "answer": "3"}\n')
    found = only(bench, "mine")
    assert (found["kind"], found["text"], found["field"]) == ("input", "path has new content", "path.sha256")
    assert found["place"] == at(bench, "path")


def test_the_content_of_what_is_upstream(bench):
    edit(bench, "count: 10", "count: 11")
    waiting = explained(bench, "tuned")
    (change,) = waiting.changes
    assert waiting.waits == ("drill",) and change.text == "data is not built yet"
    heads = bench.store.heads("explained")
    bench.run(bench.plan(commits=COMMITS))
    bench.store.update_heads("explained", heads | {"drill": bench.store.heads("explained")["drill"]})
    found = only(bench, "tuned")
    assert (found["kind"], found["text"], found["place"]) == ("upstream", "data has new content", at(bench, "data"))


def test_the_version_of_the_code(bench):
    graph = compile_spec(bench.path)
    newer = replace(graph, nodes=graph.nodes | {"drill": replace(graph.nodes["drill"], version=99)})
    found = only(bench, "drill", plan=make_plan(newer, bench.store, commits=COMMITS))
    assert (found["kind"], found["field"], found["new"]) == ("code", "version", 99)


def test_the_commit_of_a_model(bench):
    commits = {"base": "b" * 40}
    found = only(bench, "base", commits=commits)
    assert (found["kind"], found["field"], found["old"], found["new"]) == ("revision", "revision", "a" * 40, "b" * 40)


def test_the_environment_where_it_counts(bench, monkeypatch):
    edit(bench, "name: explained", "name: explained\nenv: strict")
    bench.run(bench.plan(commits=COMMITS))
    assert explained(bench, "drill").changes == ()
    monkeypatch.setattr("astro_factory.runtime.provenance.library_versions", lambda: {"torch": "99"})
    kinds = {(str(change.kind), change.name) for change in explained(bench, "drill").changes}
    assert ("environment", "environment.versions.torch") in kinds and {kind for kind, _ in kinds} == {"environment"}


def test_a_variant_is_compared_with_the_stage(bench):
    plan = make_plan(compile_spec(bench.path, sweep="rates"), bench.store, commits=COMMITS)
    assert str(plan.nodes["tuned[rate=0.001]"].status) == "hit", "the spec itself was built"
    found = only(bench, "tuned[rate=0.005]", plan=plan)
    place = f"{bench.path}:15:{SPEC.splitlines()[14].index('5e-3') + 1}"
    assert (found["text"], found["place"]) == ("learning_rate: 0.001 -> 0.005", place)


def test_what_was_never_built_is_compared_with_the_nearest_of_its_kind(bench):
    text = bench.path.read_text()
    bench.path.write_text(
        text.replace("stages:\n", "stages:\n  far: {kind: practice, count: 3, seed: 1, max_value: 99}\n")
    )
    bench.run(bench.plan(commits=COMMITS))
    bench.path.write_text(text.replace("stages:\n", "stages:\n  new: {kind: practice, count: 12}\n"))
    found = explained(bench, "new")
    assert found.against == "the nearest practice in the store"
    assert [str(change) for change in found.changes] == [f"count: 10 -> 12 ({at(bench, 'count')})"]


def test_a_kind_that_the_store_has_never_seen(bench):
    edit(bench, "stages:\n", "stages:\n  report: {kind: linearize, trees: trees, template: words.jinja}\n")
    found = explained(bench, "report")
    assert found.previous is None and found.changes == () and found.as_json()["against"] is None


def test_explanations_are_plain_data(bench):
    edit(bench, "iterations: 4", "iterations: 4, c_puct: 2")
    assert json.loads(json.dumps(explained(bench, "trees").as_json()))["changes"][0]["field"] == "policy.c_puct"
    assert Path(explained(bench, "trees").changes[0].place.file) == bench.path
