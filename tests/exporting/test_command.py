"""`export-training` on a store."""

import json
import sys

import pytest

from astro_factory.cli.main import main
from astro_factory.json_shapes import json_shape
from tests.report.workspace import make_store
from tests.training.tiny import make_model


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("exporting")
    make_store(root, make_model=make_model)
    return root


@pytest.fixture
def run(workspace, monkeypatch, capsys):
    """Run `export-training` beside `spec.yaml`; returns its exit code and what it prints."""
    monkeypatch.chdir(workspace)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("ASTRO_STORE", "store")

    def command(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["astro-factory", "export-training", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capsys.readouterr())

    return command


def test_the_export_is_described(run, tmp_path, golden):
    code, out, err = run("spec.yaml:astro_rl", "--to", "axolotl", "--out", str(tmp_path / "a"))
    assert (code, err) == (0, "")
    golden(out)


def test_json(run, tmp_path):
    code, out, _ = run("spec.yaml:astro_rl", "--to", "verl", "--out", str(tmp_path / "v"), "--json")
    found = json_shape("export-training --json").validate_python(json.loads(out), strict=True)
    assert (code, found["rows"], found["folder"]) == (0, 4, str(tmp_path / "v"))
    assert found["files"] == sorted(path.name for path in (tmp_path / "v").iterdir())
    assert {d["setting"] for d in found["differences"]} >= {"order", "rollouts.kind"}


def test_what_is_not_built_names_its_command(run, tmp_path, golden):
    for stage in ("astro_sft", "astro_rl"):
        target, store = f"spec.yaml:{stage}", str(tmp_path / "empty")
        code, _, err = run(target, "--to", "verl", "--out", str(tmp_path / "o"), "--store", store)
        assert code == 2 and err.startswith("E152")
        golden(err)
