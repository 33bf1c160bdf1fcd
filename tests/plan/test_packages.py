"""Optional packages that are not installed: a warning of `check`, one line of `build`, never a traceback."""

import os
import subprocess
import sys

import pytest

from astro_factory.core.packages import missing, missing_import, not_installed
from astro_factory.plan.packages import missing_packages, needed_packages
from astro_factory.spec import compile_spec

BLOCKER = """\
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "trl"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""
SPEC = """\
factory: 1
name: small
models: {blank: {kind: init, vocabulary: {numbers: 20}}}
stages:
  drill: {kind: practice, count: 20}
  tuned: {kind: sft, model: blank, data: drill, learning_rate: 1.0e-3}
"""


@pytest.fixture
def without_torch(tmp_path):
    """Run a program of the package in an interpreter that finds no torch."""
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text(BLOCKER)
    (tmp_path / "spec.yaml").write_text(SPEC)
    paths = [str(tmp_path / "blocked"), *(path or os.getcwd() for path in sys.path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "ASTRO_STORE": str(tmp_path / "store")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "astro_factory", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    return run


@pytest.mark.slow
def test_without_torch_every_command_says_so_in_one_line(without_torch):
    checked = without_torch("check", "spec.yaml")
    assert checked.returncode == 0 and "W107 'blank' and 1 more stage need torch, transformers, trl" in checked.stdout
    built = without_torch("build", "spec.yaml")
    assert built.returncode == 2 and "E185 'blank' needs torch, transformers" in built.stderr
    assert "pip install 'astro-factory[train]'" in built.stderr and "Traceback" not in built.stderr
    proved = without_torch("gpu-check", "--dry-run")
    assert proved.returncode == 2 and proved.stderr.startswith("E185 gpu-check needs torch, transformers, trl")
    assert without_torch("build", "spec.yaml", "drill").returncode == 0, "light stages need no extra"


@pytest.mark.parametrize(
    ("changes", "packages"),
    [
        ([], ["torch", "transformers", "trl"]),
        (["stages.tuned.launch.deepspeed={}"], ["torch", "transformers", "trl", "deepspeed"]),
        (["stages.tuned.adapter={kind: lora}"], ["torch", "transformers", "trl", "peft"]),
        (["stages.tuned.launch.backend=ray"], ["torch", "transformers", "trl", "ray"]),
    ],
)
def test_packages_of_training(tmp_path, changes, packages):
    (tmp_path / "spec.yaml").write_text(SPEC)
    graph = compile_spec(tmp_path / "spec.yaml", sets=changes)
    assert needed_packages(graph.nodes["tuned"]) == packages
    assert needed_packages(graph.nodes["drill"]) == []


def test_all_stages_share_one_line(tmp_path, monkeypatch):
    (tmp_path / "spec.yaml").write_text(SPEC + "  more: {like: tuned, seed: 1}\n")
    monkeypatch.setattr("astro_factory.plan.packages.missing", {"torch"}.intersection)
    [found] = missing_packages(compile_spec(tmp_path / "spec.yaml").nodes.values(), "E185")
    assert found.cause == "'blank' and 2 more stages need torch, which is not installed"
    assert found.place and found.place.line == 3


def test_an_import_that_fails_is_explained_if_it_is_optional(monkeypatch):
    monkeypatch.setattr("astro_factory.core.packages.missing", list)
    found = missing_import(ModuleNotFoundError("no", name="ray.actor"))
    assert found == not_installed(["ray"], "this needs") and found.remedy == "pip install 'astro-factory[ray]'"
    assert missing_import(ModuleNotFoundError("no", name="mine")) is None
    assert missing(["json", "no_such_package"]) == ["no_such_package"]
