"""Commands that only read a spec import no code that it names, however the name is nested."""

import os
import subprocess
import sys

import pytest

SPEC = """
factory: 1
name: theirs
models: {base: {kind: init}}
engines: {own: {kind: python, target: "theirs.deep.engine:check"}}
search_policies: {own: {kind: python, target: "theirs.deep.policy:check"}}
problems: {train: {kind: file, path: problems.jsonl, verifier: "python:theirs.deep.verifier:check"}}
stages: {trees: {kind: search, policy: own, model: base, engine: own, problems: train}}
"""
CLASS = """
from astro_factory.verifiers.base import Verifier

class check(Verifier):
    def check_problem(self, problem): ...
    def verify(self, problem, response): ...
"""
COMMANDS = {
    "check": ["check", "spec.yaml"],
    "plan": ["plan", "spec.yaml"],
    "explain": ["explain", "spec.yaml:trees"],
    "schema": ["schema"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_reading_a_spec_runs_nothing_that_it_names(command, tmp_path):
    ran = tmp_path / "ran"
    (tmp_path / "theirs/deep").mkdir(parents=True)
    for name in ("__init__", "deep/__init__", "deep/engine", "deep/policy", "deep/verifier"):
        (tmp_path / f"theirs/{name}.py").write_text(f"open({str(ran)!r}, 'a').write({name!r})\n{CLASS}")
    (tmp_path / "problems.jsonl").write_text('{"id": "1", "question": "1 + 1?", "answer": "2"}\n')
    (tmp_path / "spec.yaml").write_text(SPEC)
    search_path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    found = subprocess.run(
        [sys.executable, "-m", "astro_factory", *COMMANDS[command]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert not ran.exists(), ran.read_text()
