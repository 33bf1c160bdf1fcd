"""The first hour of a newcomer, in shows.yaml: from `init` to a result, with what the guide says."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from tests.first_hour.test_mistakes import ended

SHOWS = yaml.safe_load((Path(__file__).parent / "shows.yaml").read_text(encoding="utf-8"))
BUILDS = ("build", "sweep", "publish")
SHOW = pytest.mark.parametrize("show", SHOWS, ids=lambda show: show["name"])


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASTRO_STORE", raising=False)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def prepare(show, capsys, monkeypatch) -> None:
    """`init`, the edits and the files of a show."""
    code, out, _ = ended("init my-problems", monkeypatch, capsys)
    assert code == 0 and "next: cd my-problems && " in out
    monkeypatch.chdir("my-problems")
    for name, replaced in show["edit"].items():
        text = Path(name).read_text(encoding="utf-8")
        for old, new in replaced.items():
            assert old in text, (name, old)
            text = text.replace(old, new)
        Path(name).write_text(text, encoding="utf-8")
    for name, content in show["files"].items():
        Path(name).write_text(content, encoding="utf-8")
    real = Path(os.environ.get("ASTRO_TEST_DATA", "")) / show.get("data", "")
    if real.is_file():
        shutil.copy(real, "specs/data.jsonl")


@pytest.mark.slow
@SHOW
def test_up_to_the_first_build(show, workspace, monkeypatch, capsys):
    prepare(show, capsys, monkeypatch)
    assert 1 + len(show["commands"]) <= 10
    for command in show["commands"]:
        if command.split()[0] in BUILDS:
            return
        code, out, err = ended(command, monkeypatch, capsys)
        assert (code, err) == (0, ""), command
        assert out
    raise AssertionError("the show builds nothing")


@pytest.mark.nightly
@SHOW
def test_show(show, workspace, monkeypatch, capsys):
    prepare(show, capsys, monkeypatch)
    out = ""
    for command in show["commands"]:
        code, out, err = ended(command, monkeypatch, capsys)
        assert code == 0, (command, out, err)
        assert "Traceback" not in out + err
    if show.get("hits"):
        assert " ran" not in out and "import" in out, "every stage comes from the publication"
