"""Code that a spec names is an input like any other: a change of it is a changed key, wherever it is used."""

import importlib
import sys

import pytest

from astro_factory.core.user_code import code_digest, source_files
from astro_factory.engines.config import PythonConfig
from astro_factory.search.config import PythonPolicyConfig
from astro_factory.stages.problems.file import Config as FileProblems

FILES = {
    "own/__init__.py": "",
    "own/policies/__init__.py": "from . import sizes\n",
    "own/policies/wide.py": "import json\nfrom ..helpers import pick\n\ndef grow(*_):\n    from own import late\n",
    "own/policies/sizes.py": "SIZE = 3\n",
    "own/helpers.py": "import os.path\n\ndef pick():\n    ...\n",
    "own/late.py": "LATE = True\n",
    "own/elsewhere.py": "NOT = 'read'\n",
}
TARGET = "own.policies.wide:grow"
READ = ["own", "own.helpers", "own.late", "own.policies", "own.policies.sizes", "own.policies.wide"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "own"]:
        del sys.modules[name]


def test_what_a_module_imports_of_its_own_package_counts(package):
    assert list(source_files("own.policies.wide")) == READ


@pytest.mark.parametrize("name", FILES)
def test_a_change_of_what_counts_is_another_digest(package, name):
    before = code_digest(TARGET)
    with (package / name).open("a") as file:
        file.write("# changed\n")
    assert (code_digest(TARGET) != before) == (name != "own/elsewhere.py")


@pytest.mark.parametrize("target", ["", "nowhere.at_all:x", "json.no:x", "sys:exit", ".relative:x", "own.broken:x"])
def test_what_cannot_be_found_or_read_as_python_has_no_digest_or_that_of_its_bytes(package, target):
    (package / "own" / "broken.py").write_text("def (:\n")
    assert bool(code_digest(target)) == (target == "own.broken:x")


@pytest.mark.parametrize(
    ("config", "fields", "code"),
    [
        (PythonPolicyConfig, {"kind": "python", "target": TARGET}, "code"),
        (PythonConfig, {"kind": "python", "target": TARGET}, "code"),
        (FileProblems, {"kind": "file", "path": "x.jsonl", "verifier": f"python:{TARGET}"}, "verifier_code"),
    ],
)
def test_a_config_holds_the_digest_of_the_code_that_it_names(package, config, fields, code):
    assert getattr(config(**fields), code) == code_digest(TARGET) != ""
    assert getattr(config(**fields | {code: "3"}), code) == "3"
    assert config.model_validate(config(**fields).model_dump()) == config(**fields)


def test_a_verifier_of_ours_has_no_code_of_ones_own():
    assert FileProblems(kind="file", path="x.jsonl", verifier="countdown").verifier_code == ""


@pytest.mark.parametrize("target", ["own.deep.er.x:X", "own.space.inner.x:X", "own.deep.er:X", "own:X"])
def test_a_digest_runs_no_code(target, package):
    for name in ("own/__init__.py", "own/deep/__init__.py", "own/deep/er/__init__.py", "own/space/inner/x.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(f"open({str(package / 'ran')!r}, 'w')\n")
    (package / "own/deep/er/x.py").write_text("X = 1\n")
    assert code_digest(target)
    assert not (package / "ran").exists()
    assert not [name for name in sys.modules if name.partition(".")[0] == "own"]
