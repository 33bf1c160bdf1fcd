"""The quickstart's search on each engine, with one line of its spec changed; runs where vLLM is installed."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from itertools import islice

import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not installed", allow_module_level=True)

from astro_factory.core.shipped import shipped_folder
from astro_factory.core.tables import read_table
from astro_factory.spec import compile_spec
from astro_factory.stages.problems.countdown import make_problems
from benchmarks.search import base_model, valid
from tests.stages.test_search import search

SPEC = shipped_folder("specs") / "quickstart.yaml"
PROBLEMS = 8
ENGINES = {
    "transformers": "{kind: transformers, device: cpu}",
    "vllm": "{kind: vllm, dtype: float32, max_model_len: 1024, gpu_memory_utilization: 0.3, enforce_eager: true}",
    "openai": "{kind: openai, base_urls: ['URL'], model: base, max_model_len: 1024}",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return base_model(tmp_path_factory.mktemp("base"), SPEC)


@contextmanager
def serving(model, folder):
    """The address of vLLM's own server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    command += ["--served-model-name", "base", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--max-model-len", "1024", "--gpu-memory-utilization", "0.3", "--enforce-eager"]
    command += ["--generation-config", "vllm", "--no-enable-chunked-prefill"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        while not answers(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None, (folder / "log").read_text()[-4000:]
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=1).status == 200
    except (urllib.error.URLError, OSError):
        return False


def valid_trees(folder, base, engine: str) -> int:
    nodes = compile_spec(SPEC, sets=[f"engines.cpu={engine}"]).nodes
    problems = list(islice(make_problems(nodes["train"].config), PROBLEMS))
    config = nodes["trees"].config
    search(folder, base, problems, engine=config.engine, policy=config.policy)
    rows = read_table(folder / "out/trees.parquet")
    assert len(rows) == PROBLEMS
    return sum(map(valid, rows))


@pytest.mark.parametrize("kind", ENGINES)
def test_one_line_changes_the_engine(kind, base, tmp_path):
    """A valid tree has a right end, and two wrong ones with different answers."""
    if kind == "openai":
        with serving(base, tmp_path) as url:
            found = valid_trees(tmp_path / "run", base, ENGINES[kind].replace("URL", url))
    else:
        found = valid_trees(tmp_path / "run", base, ENGINES[kind])
    assert found >= PROBLEMS // 2
