"""Specs with Hub repositories: locked with a network, and the errors without one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.server import HubServer

ROOT = Path(__file__).parents[2]
SPEC = """\
factory: 1
name: hub
models:
  base: {kind: hub, repo: org/model}
problems:
  train: {kind: hub, repo: org/problems}
stages:
  drill: {kind: practice, count: 3}
  tuned: {kind: sft, model: base, data: drill, learning_rate: 1e-3}
  report: {kind: evaluate, suite: {problems: [train]}, engine: {kind: transformers}, arms: [base, tuned]}
"""
NOWHERE = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_DISABLE_TELEMETRY": "1"}


@pytest.fixture
def run(tmp_path):
    (tmp_path / "spec.yaml").write_text(SPEC)

    def command(*args: str, **environment: str) -> subprocess.CompletedProcess:
        env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | environment
        command = [sys.executable, "-m", "astro_factory", *args]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)

    return command


def rows(done: subprocess.CompletedProcess) -> dict:
    return {row["name"]: (row["status"], row["reason"]) for row in json.loads(done.stdout)["stages"]}


def test_offline_plan_marks_what_only_the_network_can_tell(run, tmp_path):
    done = run("plan", "spec.yaml", "--offline", "--json", **NOWHERE)
    open_ = ("pending", "revision 'main' is not locked; only the network can resolve it")
    assert done.returncode == 0 and rows(done) == {
        "base": open_,
        "train": open_,
        "drill": ("run", "never built"),
        "tuned": ("pending", "waits for base, drill"),
        "report": ("pending", "waits for train, base, tuned"),
    }
    assert not (tmp_path / "spec.yaml.lock").exists()


def test_plan_of_a_stage_looks_up_only_what_it_needs(run):
    done = run("plan", "spec.yaml", "drill", "--json", **NOWHERE)
    assert done.returncode == 0 and rows(done) == {"drill": ("run", "never built")}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["build", "plan"])
@pytest.mark.parametrize("environment", [NOWHERE, {"HF_HUB_OFFLINE": "1"}], ids=["refused", "offline"])
def test_without_network_the_message_says_so(run, tmp_path, command, environment):
    done = run(command, "spec.yaml", **environment)
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("spec.yaml:4:3 E140 cannot look up org/model@main on the Hub: ")
    assert done.stderr.endswith(
        "; check the name, your access and the network; `plan --offline` shows what does not need it\n"
    )
    assert not (tmp_path / "spec.yaml.lock").exists() and not (tmp_path / ".astro").exists()


def test_what_a_lock_file_pins_needs_no_network(run, tmp_path):
    with HubServer() as hub:
        hub.create("org/model", "model")
        hub.create("org/problems", "dataset")
        environment = hub.environment(tmp_path / "home")
        first = run("plan", "spec.yaml", "--json", **environment)
        assert first.returncode == 0, first.stderr
        commits = {
            kind: hub.repo(f"org/{name}", kind).head.oid for kind, name in (("model", "model"), ("dataset", "problems"))
        }
    assert json.loads((tmp_path / "spec.yaml.lock").read_text()) == {
        "models/org/model@main": commits["model"],
        "problems/org/problems@main": commits["dataset"],
    }
    assert rows(first)["base"] == ("run", "never built")
    again = run("plan", "spec.yaml", "--json", **NOWHERE)
    assert again.returncode == 0 and again.stdout == first.stdout


@pytest.mark.slow
def test_lock_moves_a_revision_and_locked_refuses_drift(run, tmp_path):
    with HubServer() as hub:
        hub.create("org/model", "model")
        hub.create("org/problems", "dataset")
        environment = hub.environment(tmp_path / "home")
        refused = run("plan", "spec.yaml", "--locked", **environment)
        assert refused.returncode == 2 and "E143 models/org/model@main is not locked" in refused.stderr
        first = run("lock", "spec.yaml", **environment)
        assert first.returncode == 0 and first.stdout.endswith("spec.yaml.lock: 2 changed\n"), first.stderr
        model = hub.repo("org/model", "model")
        before, after = model.head.oid, model.add("newer", {}).oid
        assert run("lock", "spec.yaml", **environment).stdout == "no changes\n"
        moved = json.loads(run("lock", "spec.yaml", "--update", "base", "--json", **environment).stdout)
        assert moved["changes"] == [{"name": "models/org/model@main", "old": before, "new": after}]
    locked = run("plan", "spec.yaml", "--locked", "--json", **NOWHERE)
    assert locked.returncode == 0 and rows(locked)["base"] == ("run", "never built")
