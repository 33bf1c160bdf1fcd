"""`sweep`: a real sweep of two variants and two seeds, answered by a scripted engine."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.test_commands import run  # noqa: F401

SPEC = """\
factory: 1
name: sums
params: {seed: 0}
models:
  blank:
    kind: init
    architecture: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 1, num_key_value_heads: 1}
problems: {test: {kind: file, path: sums.jsonl, fields: {question: question, answer: answer}}}
engines: {fixed: {kind: scripted, responses: {"": ["x"]}}}
suites: {sums: {problems: [test], samples: 8}}
stages:
  report: {kind: evaluate, suite: sums, engine: fixed, arms: [blank], seed: ${params.seed}}
  other: {kind: practice, count: 3}
sweeps:
  answers:
    axes:
      engines.fixed.responses: [{"": ['\\boxed{2}', '\\boxed{3}']}, {"": ['\\boxed{2}']}]
      params.seed: [0, 1]
    compare: report
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """One for all tests: variants that several of them sweep are built once."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def sums(run, store, monkeypatch):  # noqa: F811
    monkeypatch.setenv("ASTRO_STORE", str(store))
    Path("spec.yaml").write_text(SPEC, encoding="utf-8")
    rows = [{"question": f"What is {n} - {n - 2}?", "answer": "2"} for n in range(2, 12)]
    Path("sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return run


@pytest.mark.slow
def test_sweep_builds_all_variants_and_compares_them(sums):
    ended = sums("sweep", "spec.yaml")
    assert ended.code == 0, ended.err
    assert "2 seeds" in ended.out and "searches: 0 run, 0 reused" in ended.out
    table = json.loads(Path("out/sums-answers/sweep.json").read_text())
    base, better = table["rows"]
    assert base["baseline"] and base["seeds"] == better["seeds"] == 2
    assert better["means"]["pass@1[avg-of-8]"] == 1
    assert better["difference"] == pytest.approx(1 - base["means"]["pass@1[avg-of-8]"], abs=1e-6)
    assert 0 < better["low"] <= better["difference"] <= better["high"]
    flat = pq.read_table("out/sums-answers/sweep.parquet").to_pylist()
    assert [row["difference"] for row in flat] == [None, better["difference"]]
    assert flat[1]["pass@1[avg-of-8], seed=1"] == better["by_seed"]["seed=1"] == 1
    again = sums("sweep", "spec.yaml", "--json", "--out", "elsewhere").json
    assert again["rows"] == table["rows"]
    assert again["files"] == ["elsewhere/sweep.json", "elsewhere/sweep.parquet"]


HALVED = """\
  halved:
    axes:
      engines.fixed.responses: [{"": ['\\boxed{2}', '\\boxed{3}']}, {"": ['\\boxed{3}']}, {"": ['\\boxed{2}']}]
      params.seed: [0, 1]
    compare: report
    halving: {}
"""


@pytest.mark.slow
def test_halving_builds_more_seeds_of_the_better_variants_only(sums, store):
    Path("spec.yaml").write_text(SPEC + HALVED, encoding="utf-8")
    ended = sums("sweep", "spec.yaml", "--name", "halved")
    assert ended.code == 0, ended.err
    table = json.loads(Path("out/sums-halved/sweep.json").read_text())
    _, wrong, right = table["rows"]
    assert [(row["seeds"], row["dropped_after"]) for row in table["rows"]] == [(2, None), (1, 1), (2, None)]
    kept, dropped = [right["settings"]], [wrong["settings"]]
    assert table["halving"] == [{"seeds": 1, "kept": kept, "dropped": dropped, "arm": "blank"}]
    assert wrong["low"] <= wrong["difference"] <= wrong["high"] < 0 < right["low"]
    assert "after 1 seed dropped: " in ended.out and "intervals from fewer seeds" in ended.out
    assert ended.out.count(", then dropped") == 1
    flat = pq.read_table("out/sums-halved/sweep.parquet").to_pylist()
    assert [row["dropped_after"] for row in flat] == [None, 1, None]
    built = results(store)
    again = sums("sweep", "spec.yaml", "--name", "halved", "--json").json
    assert (again["rows"], again["halving"], results(store)) == (table["rows"], table["halving"], built)
    whole = sums("sweep", "spec.yaml", "--name", "halved", "--set", "sweeps.halved.halving=null", "--json").json
    assert [row["seeds"] for row in whole["rows"]] == [2, 2, 2] and len(results(store)) == len(built) + 1
    assert whole["rows"][2]["difference"] == right["difference"] and whole["halving"] == []


def results(store: Path) -> list[Path]:
    return sorted((store / "results").rglob("*.json"))


ARMS = [
    ("{}", "one of blank, plain"),
    ("{arm: blnk}", "has no arm 'blnk'; did you mean 'blank'?"),
]


@pytest.mark.parametrize(("halving", "message"), ARMS)
def test_which_arm_decides(sums, halving, message):
    text = SPEC.replace("arms: [blank]", "arms: [blank, plain]").replace(
        "problems:", "  plain: {kind: init}\nproblems:", 1
    )
    more = f"  halved: {{axes: {{params.seed: [0, 1]}}, compare: report, halving: {halving}}}\n"
    Path("spec.yaml").write_text(text + more, encoding="utf-8")
    ended = sums("sweep", "spec.yaml", "--name", "halved")
    assert ended.code == 2 and ended.err.startswith("E164 ") and message in ended.err


BROKEN = [
    ("  more: {axes: {params.seed: [0]}}\n", [], "E162 spec.yaml has 2 sweeps; choose with --name: answers, more"),
    ("  more: {axes: {stages.other.count: [1, 2]}, compare: other}\n", ["--name", "more"],
     "E163 the sweep 'more' of spec.yaml "),
]  # fmt: skip


@pytest.mark.parametrize(("more", "arguments", "message"), BROKEN)
def test_what_cannot_be_compared(sums, more, arguments, message):
    Path("spec.yaml").write_text(SPEC + more, encoding="utf-8")
    ended = sums("sweep", "spec.yaml", *arguments)
    assert ended.code == 2 and message in ended.err


def test_a_spec_without_sweeps(sums):
    Path("spec.yaml").write_text(SPEC.partition("sweeps:")[0], encoding="utf-8")
    assert "E162 spec.yaml has no sweeps; write one under `sweeps:`" in sums("sweep", "spec.yaml").err


@pytest.mark.slow
def test_the_plan_of_a_sweep_shows_what_its_unbuilt_variants_wait_for(sums):
    spec = SPEC.replace("problems: {test:", "problems: {once: {kind: deduplicate, problems: test}, test:")
    spec = spec.replace("problems: [test]", "problems: [once]").replace(
        "engines.fixed.responses", "problems.once.similarity"
    )
    Path("spec.yaml").write_text(
        spec.replace("""[{"": ['\\boxed{2}', '\\boxed{3}']}, {"": ['\\boxed{2}']}]""", "[1, 0.9]")
    )
    assert sums("sweep", "spec.yaml").code == 0
    axes = "sweeps.answers.axes={problems.once.similarity: [1, 0.9, 0.8]}"
    lines = sums("plan", "spec.yaml", "--sweep", "answers", "--set", axes).out.splitlines()
    shown = {line.split("[")[0]: [cell.strip() for cell in line.split("  ") if cell.strip()][2:4] for line in lines}
    assert shown["once"] == ["2 hit, 1 run", "once[similarity=0.8]: never built"]
    assert shown["report"] == ["2 hit, 1 pending", "waits for once"]
