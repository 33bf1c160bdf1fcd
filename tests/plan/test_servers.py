"""The commands that start servers before a stage, for a shell."""

import json
import shlex
import shutil

import pytest

from astro_factory.plan.servers import server_commands
from astro_factory.spec import compile_spec
from tests.exporting.stages import make_adapter

SPEC = """\
factory: 1
name: served
models: {base: {kind: hub, repo: org/model}}
problems: {train: {kind: countdown, count: 5}}
stages:
  data: {kind: dialogues, path: dialogues.jsonl}
  tuned: {kind: sft, model: base, data: data, learning_rate: 1e-3}
  adapted: {kind: sft, model: tuned, data: data, learning_rate: 1e-3, adapter: {kind: lora}, save: adapter}
  further: {kind: sft, model: adapted, data: data, learning_rate: 1e-3, adapter: {kind: lora}, save: adapter}
  rl:
    kind: grpo
    model: MODEL
    problems: train
    steps: 1
    prompts_per_step: 1
    group_size: 2
    learning_rate: 1e-6
    max_new_tokens: 8
    rollouts: {kind: vllm, mode: server, server_url: "http://h:8100"}
"""


@pytest.mark.parametrize(
    ("base", "served"), [({}, '"$(show base)/base"'), ({"base_model_name_or_path": "org/llama"}, "org/llama")]
)
def test_the_base_of_an_adapter_of_others_is_served(tmp_path, base, served):
    make_adapter(tmp_path / "lora")
    if base:
        shutil.rmtree(tmp_path / "lora/base")
        file = tmp_path / "lora/adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | base | {"revision": "c" * 40}))
    spec = SPEC.replace("{kind: hub, repo: org/model}", "{kind: local, path: lora}").replace("MODEL", "base")
    (tmp_path / "dialogues.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    (tmp_path / "spec.yaml").write_text(spec)
    graph = compile_spec(tmp_path / "spec.yaml")
    [command] = server_commands(graph, ["rl"], lambda name: f"show {name}")["rl"]
    assert f"vllm serve {served} --" in command


@pytest.mark.parametrize(
    ("model", "served"),
    [
        ("base", "org/model"),
        ("tuned", "$(show tuned)"),
        ("adapted", "$(show tuned)"),  # vLLM loads the base of an adapter, and gets the rest with the weights
        ("further", "$(show tuned)"),
    ],
)
def test_a_server_loads_the_whole_model_that_training_starts_from(tmp_path, model, served):
    (tmp_path / "dialogues.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    (tmp_path / "spec.yaml").write_text(SPEC.replace("MODEL", model))
    graph = compile_spec(tmp_path / "spec.yaml")
    found = server_commands(graph, graph.nodes, lambda name: f"show {name}")
    assert found.keys() == {"rl"}
    [command] = found["rl"]
    words = shlex.split(command)
    assert words[:5] == ["VLLM_NO_USAGE_STATS=1", "VLLM_SERVER_DEV_MODE=1", "vllm", "serve", served]
    assert words[-2:] == ["--port", "8100"]
