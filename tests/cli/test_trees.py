"""A search built from a spec: shown tree by tree, and replayed from its calls."""

import re
from pathlib import Path

import pytest

from tests.cli.test_commands import run  # noqa: F401  (a fixture)

SPEC = """\
factory: 1
name: searched
models:
  blank: {kind: init, architecture: {hidden_size: 32, num_hidden_layers: 1}, vocabulary: {numbers: 40, words: [numbers, target, left, answer]}}
problems:
  train: {kind: countdown, count: 3, numbers: [3], split: train}
engines:
  script: {kind: scripted, responses: {"": ["1 + 1\\n", "2 * 3\\n", "nothing\\n"]}}
search_policies:
  short: {kind: mcts, iterations: 2, rollouts: 1, expansions: 2, max_rollout_tokens: 20}
stages:
  trees: {kind: search, policy: short, model: blank, engine: script, problems: train}
"""  # noqa: E501


@pytest.mark.slow
def test_trees_are_shown_and_replayed(run):  # noqa: F811
    Path("spec.yaml").write_text(SPEC)
    assert run("replay", "spec.yaml:trees").err.startswith("E152 'trees' is not built in this store")
    assert run("build", "spec.yaml", "--json").code == 0
    assert run("replay", "spec.yaml:trees").out == "3 of 3 trees are reproduced by their stored calls\n"
    assert run("replay", "spec.yaml:trees", "--json").json == {"ok": True, "trees": 3, "different": []}
    ended = run("show", "spec.yaml:trees", "--tree", "unknown")
    name = re.search(r"like (\S+),", ended.err)[1]
    assert ended.code == 2 and ended.err.startswith("E157 there is no tree of a problem 'unknown'; problems are named")
    lines = run("show", "spec.yaml:trees", "--tree", name).out.splitlines()
    assert lines[0].startswith("numbers ") and re.fullmatch(r"\d iterations, \d+ tokens", lines[1].strip())
    assert run("show", "spec.yaml:trees", "--tree", name, "--json").json["problem"]["id"] == name


def test_only_a_search_has_trees(run):  # noqa: F811
    Path("spec.yaml").write_text(SPEC)
    ended = run("replay", "spec.yaml:train")
    assert ended.err.startswith("E158 'train' is of kind countdown ")
