"""`launch: {backend: ray}`: training on a Ray cluster; runs where Ray is installed."""

import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from astro_factory.core.errors import UserError
from astro_factory.stages import sft
from tests.ray_nodes import cluster_of, join, node
from tests.training.test_launch import inputs, sft_config  # noqa: F401  (a fixture)
from tests.training.tiny import contents, context

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed; `make test` installs it"),
    pytest.mark.timeout(1800),
    pytest.mark.slow,
]
ON_RAY = {"processes": 2, "nodes": 2, "backend": "ray"}
HANG_S = 600


@pytest.fixture(scope="module")
def one_node() -> Iterator[None]:
    with cluster_of(node(num_cpus=2)):
        yield


def test_two_workers_on_one_ray_node_give_the_bytes_of_two_local_processes(one_node, inputs, tmp_path):  # noqa: F811
    runs = {}
    for name, launch in {"here": {"processes": 2}, "ray": ON_RAY}.items():
        runs[name] = context(tmp_path / name, inputs)
        sft.run(runs[name], sft_config(max_steps=2, launch=launch))
    assert contents(runs["ray"].out) == contents(runs["here"].out)
    assert runs["ray"].events.steps == runs["here"].events.steps


def test_what_ends_one_rank_ends_the_stage_with_its_words(one_node, inputs, tmp_path):  # noqa: F811
    with pytest.raises(UserError, match="E501"):
        sft.run(context(tmp_path, inputs), sft_config(max_length=5, launch={"backend": "ray"}))


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end children")
def test_a_node_that_is_killed_costs_the_steps_since_the_last_checkpoint(inputs, tmp_path):  # noqa: F811
    """One of two Ray nodes is killed after the first checkpoint; another joins later."""
    whole, parts = context(tmp_path / "whole", inputs), context(tmp_path / "parts", inputs)
    sft.run(whole, sft_config(epochs=6))
    checkpoints = tmp_path / "parts" / "work" / "checkpoints"
    third = []

    def kill_and_add(cluster, second) -> None:
        deadline = time.monotonic() + HANG_S
        while not any((path.parent / "complete-0").exists() for path in checkpoints.glob("*/complete-1")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        cluster.remove_node(second, allow_graceful=False)
        time.sleep(5)
        third.append(join(cluster.address, num_cpus=1))

    with cluster_of(node(num_cpus=1), node(num_cpus=1)) as (cluster, [second]):
        threading.Thread(target=kill_and_add, args=(cluster, second), daemon=True).start()
        sft.run(parts, sft_config(epochs=6, save_every=2, launch=ON_RAY))
        third[0].terminate()
        third[0].wait()
    assert any("training starts again from its last checkpoint" in line for line in parts.events.lines)
    assert contents(parts.out) == contents(whole.out)
