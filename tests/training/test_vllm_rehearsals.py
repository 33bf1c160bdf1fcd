"""Reinforcement learning with real vLLM on a CPU; runs where vLLM is installed.

What a CPU cannot do is the transfer of weights to a server, which needs NCCL. All else is what runs on GPUs.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not installed", allow_module_level=True)

import pyarrow as pa
import pyarrow.parquet as pq

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.stages.grpo import Config, run
from astro_factory.training import rollout_server
from astro_factory.training.rollout_server import check_server
from tests.training.tiny import context, make_model

ROOT = Path(__file__).parents[2]
QUICK = {"PYTHONPATH": str(ROOT), "TORCH_COMPILE_DISABLE": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    problems = [Problem(f"p{i}", f"{i} , {i}", "Yes", "python:tests.training.judges:Says") for i in range(6)]
    pq.write_table(pa.Table.from_pylist([problem.as_row() for problem in problems]), root / "problems.parquet")
    return {"base": make_model(root / "base"), "problems": root}


def config(rollouts: dict, **changes) -> Config:
    fields = {"kind": "grpo", "model": "base", "problems": "problems", "steps": 2, "prompts_per_step": 4}
    fields |= {"group_size": 4, "learning_rate": 3e-3, "max_new_tokens": 12, "log_every": 1}
    return Config(**fields | {"rollouts": {"kind": "vllm", **rollouts}} | changes)


def test_weights_reach_a_colocated_engine_and_change_with_each_step():
    """The check of `gpu-check`, in a process of its own: the engine stays in it."""
    command = [sys.executable, "-m", "astro_factory", "gpu-check", "--dry-run", "--only", "grpo-vllm"]
    found = subprocess.run(command, cwd=ROOT, env=os.environ | QUICK, capture_output=True, text=True)
    [check] = json.loads(found.stdout.strip().splitlines()[-1])["checks"]
    assert found.returncode == 0 and check["status"] == "PASS", found.stdout + found.stderr[-3000:]


@pytest.fixture
def shared_memory():
    """On a CPU vLLM names the memory that processes share without a port, and training processes end before they free
    it. What an earlier run left would stop this one."""

    def clear():
        for file in Path("/dev/shm").glob("*-tp:0-?0-1?-cpushm_*"):
            file.unlink(missing_ok=True)

    clear()
    yield
    clear()


def test_two_processes_share_an_engine_by_tensor_parallelism(inputs, tmp_path, monkeypatch, shared_memory):
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    ctx = context(tmp_path, inputs)
    run(ctx, config({"gpu_memory_utilization": 0.2, "tensor_parallel_size": 2}, launch={"processes": 2}))
    points = [values for _, values in ctx.events.metrics if "loss" in values]
    assert len(points) == 2 and all(0 < values["length"] <= 12 for values in points)
    assert any(values["grad_norm"] > 0 for values in points)
    new, old = ((folder / "model.safetensors").read_bytes() for folder in (ctx.out, inputs["base"]))
    assert new != old


@pytest.mark.nightly
def test_the_engine_check_of_gpu_check():
    command = [sys.executable, "-m", "astro_factory", "gpu-check", "--dry-run", "--only", "vllm"]
    found = subprocess.run(command, cwd=ROOT, env=os.environ | QUICK, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr[-3000:]


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_server_of_vllm_is_accepted_up_to_the_transfer_of_weights(inputs, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    settings = config({"mode": "server", "server_url": url, "max_model_len": 128})
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(inputs["base"])]
    command += ["--weight-transfer-config", '{"backend": "nccl"}', "--logprobs-mode", "processed_logprobs"]
    command += ["--max-model-len", "128", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--gpu-memory-utilization", "0.2", "--enforce-eager"]
    environment = os.environ | QUICK | {"VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_for(url, server, tmp_path / "log")
        with pytest.raises(UserError, match="E621 weights are sent to a vLLM server over NCCL, which needs a GPU"):
            check_server(settings, settings.rollouts, inputs["base"])
        monkeypatch.setattr(rollout_server, "_has_gpu", lambda: True)
        check_server(settings, settings.rollouts, inputs["base"])
        with pytest.raises(UserError, match="has a context of 128 tokens"):
            long = settings.model_copy(update={"max_new_tokens": 128})
            check_server(long, long.rollouts, inputs["base"])
    finally:
        server.terminate()
        server.wait(60)


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 600
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise AssertionError(log.read_text()[-3000:])
