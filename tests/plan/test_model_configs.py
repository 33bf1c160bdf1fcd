"""Predictions for a model that only the Hub knows: its config.json is fetched, its weights are not."""

import json
import os
import subprocess
import sys

import pytest

from tests.hub.server import HubServer

SPEC = """\
factory: 1
name: small
models: {base: {kind: hub, repo: org/llama}}
problems: {test: {kind: countdown, count: 5, split: test}}
engines: {gpu: {kind: vllm, max_model_len: 1024}}
suites: {s: {problems: [test], samples: 1, max_tokens: 64}}
stages: {report: {kind: evaluate, suite: s, engine: gpu, arms: [base]}}
"""
CONFIG = {
    "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192,
    "tie_word_embeddings": True, "dtype": "bfloat16",
}  # fmt: skip


@pytest.mark.parametrize(("gated", "offline"), [(False, False), (True, False), (False, True)])
def test_a_plan_fetches_the_config_alone(tmp_path, gated, offline):
    """In a process of its own: the client reads its environment when it is imported."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    with HubServer() as hub:
        files = {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": b"weights"}
        repo = hub.create("org/llama", "model", gated=gated, **files)
        text = SPEC.replace("repo: org/llama", f"repo: org/llama, revision: '{repo.head.oid}'")
        (tmp_path / "spec.yaml").write_text(text)
        command = [sys.executable, "-m", "astro_factory", "plan", "spec.yaml", "--json", "--machine", "1x4090-24GB"]
        environment = (
            os.environ | hub.environment(tmp_path / "home") | {"HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_stranger"}
        )
        ended = subprocess.run(
            command + ["--offline"] * offline,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    (report,) = [stage for stage in json.loads(ended.stdout)["stages"] if stage["name"] == "report"]
    if gated or offline:
        assert report["peak_gpu_gb"] is None
    else:
        assert 2 < report["peak_gpu_gb"] <= 24 and report["fits"]
    assert not list((tmp_path / "home").rglob("model.safetensors"))
