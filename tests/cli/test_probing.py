"""A probe: some trees of a search, what they say about the rest, and that the build takes them from the store."""

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import run  # noqa: F401  (a fixture)

SPEC = """\
factory: 1
name: probed
models:
  blank: {kind: init, architecture: {hidden_size: 32, num_hidden_layers: 1}, vocabulary: {numbers: 40, words: [numbers, target, left, answer]}}
problems:
  train: {kind: countdown, count: 40, numbers: [3], split: train}
engines:
  script: {kind: scripted, responses: {"": ["1 + 1\\n", "2 * 3\\n", "10 - 4\\n", "nothing\\n"]}}
search_policies:
  short: {kind: mcts, iterations: 3, rollouts: 1, expansions: 4, max_rollout_tokens: 20, max_step_tokens: 20}
stages:
  trees: {kind: search, policy: short, model: blank, engine: script, problems: train}
"""  # noqa: E501


@pytest.mark.slow
def test_a_probe_foretells_the_build(run):  # noqa: F811
    Path("spec.yaml").write_text(SPEC)
    unknown = run("plan", "spec.yaml", "--json").json["stages"][-1]["estimate"]
    assert unknown["extrapolation"] is None and unknown["most_calls"] == 40 * 3 * (4 + 4)
    missing = run("probe", "spec.yaml:trees", "--set", "engines.script={kind: python, target: no.such:Engine}")
    assert missing.code == 2 and "E605 " in missing.err
    broken = run("probe", "spec.yaml:trees", "--set", "engines.script={kind: python, target: fractions:Fraction}")
    assert broken.code == 1 and "the probe failed: " in broken.out
    found = run("probe", "spec.yaml:trees", "-n", "12", "--json").json
    assert found["ok"] and found["status"] == "run"
    estimate = found["estimate"]
    about = estimate["extrapolation"]
    assert (about["unit"], about["done"], about["total"]) == ("trees", 12, 40)
    assert estimate["basis"] == "from 12 of 40 trees" and estimate["tokens"] == about["tokens"]["value"]
    assert about["tokens"]["low"] < about["tokens"]["value"] < about["tokens"]["high"] < estimate["most_tokens"]
    assert about["seconds"]["value"] > 0
    [planned] = [s for s in run("plan", "spec.yaml", "--json").json["stages"] if s["name"] == "trees"]
    assert planned["estimate"] == estimate
    assert "12 of 40 trees" in run("plan", "spec.yaml").out
    assert run("build", "spec.yaml", "--log", "events.jsonl").code == 0
    events = [json.loads(line) for line in Path("events.jsonl").read_text().splitlines()]
    progress = [e for e in events if e["stage"] == "trees" and e["event"] == "progress"]
    assert progress[0]["done"] == 12  # these come from the store
    rest = sum(e["tokens"] for e in events if e["stage"] == "trees" and e["event"] == "spent")
    assert 0 < rest < estimate["most_tokens"]
    assert about["tokens"]["low"] * 0.8 <= rest <= about["tokens"]["high"] * 1.2
    hit = run("probe", "spec.yaml:trees", "-n", "12")
    assert hit.out.splitlines()[-1].startswith("trees is built already")


def test_only_a_search_can_be_probed(run):  # noqa: F811
    Path("spec.yaml").write_text(SPEC)
    ended = run("probe", "spec.yaml:train")
    assert ended.code == 2 and ended.err.startswith("E159 'train' is a countdown stage, which cannot be probed")
