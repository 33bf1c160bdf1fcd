"""User-defined code, from a folder to a publication and back: `check --trust`, `build`, `verify`, `pull`, `--trust`."""

import json
import re
import sys
from pathlib import Path

import pytest

from astro_factory.core.code_folders import VARIABLE
from astro_factory.json_shapes import json_shape
from tests.cli.test_commands import run  # noqa: F401  (fixture)

VERIFIER = """
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.verifiers.base import Verifier
from first_letter_{number} import first

class Letter(Verifier):
    def check_problem(self, problem):
        return None if len(problem.answer) == 1 else "the answer is not one letter"

    def verify(self, problem, response):
        return Verdict(Outcome.CORRECT if first(response) == problem.answer else Outcome.INCORRECT, first(response))
"""
HELPER = "def first(text):\n    return next((c for c in text if c.isalpha()), '')\n"
SPEC = """
factory: 1
name: letters
problems: {{train: {{kind: file, path: problems.jsonl, verifier: "python:letter_{number}:Letter"}}}}
publish: {{data: {{repo: "file:{root}/published", artifacts: [train]}}}}
"""


@pytest.fixture
def cli(run, monkeypatch):  # noqa: F811
    """`run` with paths, in a process that forgets what a command made importable."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))

    def command(*args):
        monkeypatch.setenv(VARIABLE, "{}")
        for name in [name for name in sys.modules if re.match("(first_)?letter_", name)]:
            del sys.modules[name]
        return run(*map(str, args))

    return command


def write(folder: Path, number: int) -> Path:
    """A workspace whose modules have a number of their own: this process imports some of them."""
    folder.mkdir()
    (folder / "problems.jsonl").write_text('{"question": "The first letter?", "answer": "A"}\n')
    (folder / f"letter_{number}.py").write_text(VERIFIER.format(number=number))
    (folder / f"first_letter_{number}.py").write_text(HELPER)
    spec = folder / "spec.yaml"
    spec.write_text(SPEC.format(number=number, root=folder.parent))
    return spec


@pytest.mark.slow
def test_code_beside_a_spec_runs_is_published_and_needs_trust_elsewhere(cli, tmp_path, monkeypatch):
    spec = write(tmp_path / "specs", 1)
    code = {"role": "verifier", "target": "letter_1:Letter", "file": "specs/letter_1.py", "publication": None}
    assert cli("check", spec, "--json").json["code"] == [code]
    assert "runs the verifier letter_1:Letter in specs/letter_1.py" in cli("check", spec, "--data", "--trust").out
    assert cli("build", spec).code == 0
    planned = json_shape("plan --json").validate_python(cli("plan", spec, "--json").json)
    assert planned["code"] == [code] and planned["counts"]["hit"] == 2

    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"gold": "A", "answer": "A!"}\n{"gold": "A", "answer": "B"}\n')
    assert cli("verify", rows, "--kind", "python:letter_1:Letter").out.endswith("1 correct, 1 incorrect\n")

    assert cli("pull", f"file:{tmp_path}/published", tmp_path / "pulled").code == 0
    theirs = tmp_path / "pulled/astro/spec.yaml"
    cache = f"file:{tmp_path}/.astro"
    assert cli("check", theirs, "--json").json["code"][0]["publication"] == "pulled"
    refused = cli("build", theirs, "train", "--store", "other")
    assert refused.code == 2 and "spec.yaml:7:15 E190 " in refused.err and "--trust" in refused.err
    assert cli("build", theirs, "train", "--store", "other", "--cache", cache).code == 0  # executes nothing
    again = cli("build", theirs, "train", "--store", "third", "--trust", "--json")
    assert again.code == 0 and [stage["outcome"] for stage in again.json["stages"]] == ["ran"]
    keys = [
        cli("plan", path, "--store", store, "--json").json["stages"][0]["key"]
        for path, store in ((spec, ".astro"), (theirs, "third"))
    ]
    assert keys[0] == keys[1]

    monkeypatch.chdir(theirs.parent)
    refused = cli("verify", rows, "--kind", "python:letter_1:Letter")
    assert refused.code == 2 and "E190" in refused.err


@pytest.mark.slow
def test_code_that_is_edited_during_a_build_puts_nothing_under_the_old_key(cli, tmp_path):
    spec = write(tmp_path / "specs", 2)
    verifier = spec.parent / "letter_2.py"
    before = verifier.read_text()
    edits = before.replace(
        "        return None if", "        open(__file__, 'a').write('# edited')\n        return None if"
    )
    verifier.write_text(edits)
    failed = cli("build", spec, "train", "--json")
    assert failed.code == 1 and "letter_2.py or a file that it imports changed" in json.dumps(failed.json)
    verifier.write_text(edits)
    assert cli("plan", spec, "train", "--json").json["counts"]["hit"] == 0
    verifier.write_text(before)
    assert cli("build", spec, "train").code == 0
    verifier.write_text(before + "# once more\n")
    [stage] = cli("plan", spec, "train", "--json").json["stages"]
    assert stage["changes"][0]["kind"] == "code" and "specs/letter_2.py" in stage["reason"]


CANNOT_LOAD = {
    "raises": "Letter = 3; raise RuntimeError('broken here')",
    "ends its process": "import os; Letter = os._exit(3)",
    "no class": "Letter = 3",
    "cannot be made": VERIFIER.format(number=3) + "    def __init__(self, size): ...\n",
}


@pytest.mark.parametrize("case", CANNOT_LOAD)
def test_check_with_trust_names_the_code_that_cannot_be_loaded(case, cli, tmp_path):
    spec = write(tmp_path / "specs", 3)
    (spec.parent / "letter_3.py").write_text(CANNOT_LOAD[case])
    assert cli("check", spec).code == 0
    found = cli("check", spec, "--trust", "--json")
    [error] = found.json["errors"]
    assert (error["code"], error["file"], error["line"]) == ("E402", "specs/spec.yaml", 4)


def test_a_build_without_the_code_fails_at_once(cli, tmp_path):
    spec = write(tmp_path / "specs", 4)
    (spec.parent / "letter_4.py").unlink()
    assert "W106" in cli("check", spec).out
    found = cli("build", spec)
    assert found.code == 2 and "E402" in found.err and "no module 'letter_4'" in found.err
