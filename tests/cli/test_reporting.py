"""`report` and `show` over a store in which everything is built."""

import json
import sys

import pytest

from astro_factory.cli.main import main
from tests.report.workspace import make_store


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("reporting")
    make_store(root)
    return root


@pytest.fixture
def run(workspace, monkeypatch, capsys):
    """Run a command beside `spec.yaml`; returns its exit code and what it prints."""
    monkeypatch.chdir(workspace)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("ASTRO_STORE", "store")

    def command(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["astro-factory", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capsys.readouterr())

    return command


def test_report(run, tmp_path):
    code, out, err = run("report", "spec.yaml", "-o", str(tmp_path / "r.html"))
    assert (code, err) == (0, "") and out.endswith("r.html: 0.1 MB, 10 of 10 stages\n")
    code, out, _ = run("report", "spec.yaml", "traces", "-o", str(tmp_path / "t.html"), "--json")
    found = json.loads(out)
    assert found["stages"] == ["blank", "train", "trees", "traces"] and found["notes"] == []
    assert found["bytes"] == (tmp_path / "t.html").stat().st_size


def test_report_of_nothing(run, tmp_path, golden):
    code, _, err = run("report", "spec.yaml", "--store", str(tmp_path / "empty"))
    assert code == 2 and err.startswith("E166")
    golden(err)
