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
def test_a_lost_nodes_problems_go_back_to_the_queue(tmp_path, model):  # noqa: F811
    whole, _ = search(tmp_path / "whole", model, FEW, engine=LLAMA)
    command = [sys.executable, "-m", "tests.search.on_ray", str(tmp_path), str(model)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-4000:]
    report = json.loads(next(line for line in ended.stdout.splitlines() if line.startswith('{"killed_at"')))
    assert 8 <= report["killed_at"][0] < len(FEW) and report["puts"] == len(FEW)
    assert (tmp_path / "ray/out/trees.parquet").read_bytes() == whole["trees.parquet"]


def test_without_ray_its_package_is_named(tmp_path, model, monkeypatch):  # noqa: F811
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError) as caught:
        search(tmp_path, model, backend="ray")
    assert str(caught.value) == (
        "E619 `backend: ray` needs the package 'ray', which is not installed; pip install 'astro-factory[ray]'"
    )
