"""The package from Python: load, plan, build, look."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import astro_factory
from astro_factory.core.errors import UserError
from tests.report.workspace import make_store

HOSTILE = "numbers <script>alert(1)</script> 4 10 3"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    make_store(folder, question=HOSTILE)
    return folder


@pytest.fixture
def spec(root):
    return astro_factory.load(root / "spec.yaml", store=root / "store")


def test_plan_is_a_table(spec):
    plan = spec.plan()
    assert plan.counts == {"hit": 10, "run": 0, "pending": 0, "import": 0}
    assert {"stage": "trees", "kind": "search", "status": "hit", "reason": "in the store"} in plan.rows
    assert "<td>trees</td><td>search</td><td>hit</td>" in plan._repr_html_() and "trees            search" in repr(plan)
    assert spec.check() == spec.graph.warnings


def test_settings_move_the_plan(root):
    moved = {"stages.traces.per_problem": 2, "suites.puzzles.metrics": ["pass@1", "maj@2"]}
    spec = astro_factory.load(root / "spec.yaml", set=moved, store=root / "store")
    assert {row["stage"]: row["status"] for row in spec.plan(["traces"]).rows}["traces"] == "run"
    with pytest.raises(UserError, match="E104"):
        astro_factory.load(root / "spec.yaml", set={"stages.traces.per_problme": 2})


def test_build_runs_what_is_missing(root):
    events = []
    spec = astro_factory.load(root / "spec.yaml", set={"stages.traces.per_problem": 1}, store=root / "store")
    done = spec.build(["traces"], on_event=lambda name, event: events.append((name, event["event"])))
    assert done.outcomes["traces"] == "ran" and ("traces", "start") in events and ("traces", "end") in events
    assert len(spec["traces"].rows()) == 4
    with pytest.raises(UserError, match="E168"):
        astro_factory.load(root / "spec.yaml", set={"stages.traces.max_chars": 1}, store=root / "store").build(
            ["traces"]
        )


def test_output_is_read_in_every_form(spec):
    traces = spec["traces"]
    assert traces.kind == "linearize" and (traces.path / "traces.parquet").exists() and len(traces.key) == 64
    assert traces.summary["traces"] == 12 and traces.table().num_rows == 12
    assert list(traces.pandas()["problem_id"].unique()) == ["p0", "p1", "p2", "p3"]
    assert {row["problem"] for row in traces.rows("problem!=p0,backtracks>=1")} == {"p1", "p2", "p3"}
    assert spec["report"].arms["astro_rl"]["pass@1[avg-of-2]"]["value"] == pytest.approx(5 / 6, abs=1e-5)
    assert spec["astro_rl"].curve[0]["step"] == 1 and spec["test"].problems()[0].id == "p0"


def test_dataset(spec):
    datasets = pytest.importorskip("datasets")
    found = spec["traces"].dataset()
    assert isinstance(found, datasets.Dataset) and found.num_rows == 12


def test_trees_and_traces_draw_themselves_and_escape_what_was_written(spec):
    tree, trace = next(spec["trees"].trees()), next(spec["traces"].traces())
    html = tree._repr_html_()
    assert html.count("<li>") == len(tree.tree.nodes) and html.count("</ul>") == html.count("<ul>")
    assert "correct 17" in html and repr(tree) == "<tree of p0: 19 nodes, 3 of 12 ends correct>"
    assert "answer 17" in trace._repr_html_() and trace.backtracks >= 1
    assert "<script>" not in spec["test"]._repr_html_()
    hostile = type(trace)("p", HOSTILE, "", [], 0, [{"kind": "step", "text": HOSTILE}])
    assert "<script>" not in hostile._repr_html_()


@pytest.mark.parametrize(("stage", "code"), [("tracse", "E151"), ("traces", "E152")])
def test_what_is_not_there(spec, tmp_path, stage, code, golden):
    empty = astro_factory.load(spec.path, store=tmp_path)
    with pytest.raises(UserError, match=code) as error:
        empty[stage]
    golden(str(error.value).replace(str(spec.path), "spec.yaml"))


def test_an_output_of_another_type(spec):
    for read in (spec["traces"].trees, spec["trees"].traces, spec["trees"].problems, lambda: spec["trees"].arms):
        with pytest.raises(UserError, match="E167"):
            read()


def test_report(spec, tmp_path):
    assert spec.report(tmp_path / "r.html", ["report"]).stat().st_size > 50_000


def test_nothing_heavy_is_loaded(root):
    code = f"""
import astro_factory, json, sys
spec = astro_factory.load({str(root / "spec.yaml")!r}, store={str(root / "store")!r})
spec.plan()._repr_html_(), spec["traces"].rows(), spec["report"].arms
print(json.dumps(sorted({{"torch", "transformers", "datasets", "pandas"}} & set(sys.modules))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


NOTEBOOK = Path(__file__).parents[1] / "docs/notebooks/look.ipynb"


def test_the_notebook_runs(root, tmp_path, monkeypatch):
    """Every cell, over the small store in place of the quickstart's; what a cell ends with must be something to see."""
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        source = "".join(cell["source"]).replace("specs/quickstart.yaml", str(root / "spec.yaml"))
        *body, last = ast.parse(source.replace('".astro"', repr(str(root / "store")))).body
        assert isinstance(last, ast.Expr) and not cell["outputs"]
        exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), names)
        shown = eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)
        draw = getattr(shown, "_repr_html_", None)
        assert shown is not None and (draw() if draw else repr(shown))
    assert (
        len(cells) >= 9 and {row["problem"] for row in names["lost"]} == {"p1"} and (tmp_path / "report.html").exists()
    )
