"""`backend: ray` on a cluster of two nodes on this machine; runs where Ray is installed."""

import importlib.util
import json
import subprocess
import sys

import pytest

from astro_factory.core.errors import UserError
from tests.search.on_ray import FEW
from tests.stages.test_search import LLAMA, model, search  # noqa: F401  (a fixture)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed; `make test` installs it")
def test_problems_of_a_lost_node_return_to_the_queue(tmp_path, model):  # noqa: F811
    whole, _ = search(tmp_path / "whole", model, FEW, engine=LLAMA)
    command = [sys.executable, "-m", "tests.search.on_ray", str(tmp_path), str(model)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-4000:]
    report = json.loads(next(line for line in ended.stdout.splitlines() if line.startswith('{"killed_at"')))
    assert 8 <= report["killed_at"][0] < len(FEW) and report["puts"] == len(FEW)
    assert (tmp_path / "ray/out/trees.parquet").read_bytes() == whole["trees.parquet"]


def test_without_ray_the_error_names_its_package(tmp_path, model, monkeypatch, golden):  # noqa: F811
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError) as caught:
        search(tmp_path, model, backend="ray")
    assert caught.value.diagnostics[0].code == "E619"
    golden(str(caught.value))
