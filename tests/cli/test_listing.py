"""`stages`, `templates`, `presets`, and `check --data`."""

import json
from pathlib import Path

import pytest

from astro_factory.json_shapes import json_shape
from astro_factory.stages import KINDS
from astro_factory.stages.problems.presets import PRESETS
from tests.cli.test_commands import run

__all__ = ["run"]


def entries(found) -> dict[str, str]:
    shape = json_shape("stages --json").validate_python(found.json)
    return {entry["name"]: entry["about"] for entry in shape["entries"]}


def test_everything_that_a_spec_can_name_is_listed_with_a_sentence(run):
    kinds = entries(run("stages", "--json"))
    assert kinds.keys() >= {f"{section}: {kind}" for section, table in KINDS.items() for kind in table}
    templates = entries(run("templates", "--json"))
    assert {"reflection/paper.jinja", "judge/solution.jinja"} <= templates.keys()
    presets = entries(run("presets", "--json"))
    assert presets.keys() == PRESETS.keys()
    for name, about in (kinds | templates | presets).items():
        assert about[:1].isupper() or name in PRESETS, name


def test_templates_of_the_workspace_are_listed(run):
    Path("templates/reflection").mkdir(parents=True)
    Path("templates/reflection/mine.jinja").write_text("{#- Mine. And more. -#}\n{% block wrong %}No{% endblock %}")
    assert entries(run("templates", "--json"))["reflection/mine.jinja"] == "Mine."
    assert "reflection/mine.jinja" in run("templates").out


SPEC = """\
factory: 1
name: mine
problems:
  good: {kind: file, path: good.jsonl}
  late: {kind: file, path: late.jsonl}
  own: {kind: file, path: good.jsonl, verifier: "python:mine:Letter"}
"""


@pytest.fixture
def data(run):
    good = [{"question": f"{i}?", "answer": str(i), "hint": "none"} for i in range(1, 301)]
    late = [*good, {"question": "last?", "answer": ""}]
    for name, rows in {"good": good, "late": late}.items():
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("mine.py").write_text("Letter = None\nraise SystemExit('imported')\n")
    Path("mine.yaml").write_text(SPEC)
    return run


def test_check_reads_all_rows_where_asked(data):
    assert data("check", "mine.yaml").code == 0
    found = data("check", "mine.yaml", "--data")
    assert found.code == 2 and "E424 late.jsonl: the answer is empty in line 301" in found.err
    assert "good.jsonl: columns that are not used: hint" in found.out and "good: 300 problems" in found.out
    assert "own: not read, since 'python:mine:Letter' is code from outside the package" in found.out
    folder = data("check", ".", "--data", "--set", "name=other")
    assert folder.code == 2 and "E424 late.jsonl: the answer is empty in line 301" in folder.err
    failed = data("check", "mine.yaml", "--data", "--json")
    assert failed.code == 2 and [error["code"] for error in failed.json["errors"]] == ["E424"]


def test_diff_prints_what_moves(run):
    text = Path("spec.yaml").read_text()
    Path("other.yaml").write_text(text.replace("count: 20", "count: 30"))
    ended = run("diff", "spec.yaml", "other.yaml")
    assert ended.code == 0 and "drill (practice): changed\n  count: 20 -> 30  (other.yaml:3:17)" in ended.out
    assert "publish.data (publish): moved (reads drill)" in ended.out
    assert "2 differ, 2 are equal and share their results" in ended.out
    found = run("diff", "spec.yaml", "other.yaml", "--json").json
    assert [entry["status"] for entry in found["entries"]] == ["changed", "moved"] and found["equal"] == 2


def test_commands_that_write_say_what_they_wrote(run):
    found = run("init", "new", "--json").json
    assert "specs/my_problems.yaml" in found["files"] and Path("new", "specs", "my_problems.yaml").is_file()
    run("build", "spec.yaml", "--no-publish")
    assert run("export", "spec.yaml:drill", "drill.tar", "--json").json["bytes"] == Path("drill.tar").stat().st_size
    assert run("explain-error", "e104", "--json").json["text"].startswith("E104 ")
