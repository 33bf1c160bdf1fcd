"""Two nodes on one machine: each is a `launch` with its own rendezvous agent and one training process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from astro_factory.core.errors import UserError
from astro_factory.json_shapes import json_shape
from astro_factory.plan import make_plan
from astro_factory.runtime import BuildOptions, build
from astro_factory.spec import compile_spec
from astro_factory.store import Store
from astro_factory.training.nodes import Address, parse_address
from tests.training.test_launch import ROOT, alive, started_by
from tests.training.tiny import contents, make_dialogues, make_model

SPEC = """\
factory: 1
name: two
models: {base: {kind: local, path: base}}
stages:
  data: {kind: dialogues, path: dialogues.jsonl}
  tuned:
    {kind: sft, model: base, data: data, learning_rate: 2e-3, batch_size: 9, epochs: 8, save_every: 2,
     launch: {processes: 2, nodes: 2}}
"""
HANG_S = 240
"""By when something must have happened on a slow machine."""


@dataclass
class Cluster:
    """A workspace whose store all nodes share."""

    folder: Path

    @property
    def spec(self) -> Path:
        return self.folder / "two.yaml"

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    def start(self, node: int, port: int, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "astro_factory", "launch", f"{self.spec}:tuned", "--store"]
        command += [str(self.store.root), "--node", str(node), "--head", f"localhost:{port}", *more]
        with (self.folder / f"node-{node}.txt").open("w") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, text=True)

    def run(self, *more: str) -> None:
        """Both nodes to their end."""
        port = free_port()
        nodes = [self.start(node, port, *more) for node in (0, 1)]
        assert [node.wait(HANG_S) for node in nodes] == [0, 0], self.said(0) + self.said(1)

    def said(self, node: int) -> str:
        return (self.folder / f"node-{node}.txt").read_text()

    def output(self) -> dict[str, bytes]:
        result = make_plan(compile_spec(self.spec), self.store).nodes["tuned"].result
        assert result, self.said(0)
        return contents(self.store.output(result))

    def checkpoints(self) -> list[Path]:
        """The checkpoints that both processes finished."""
        found = (self.store.root / "staging").glob("*/work/checkpoints/*/complete-1")
        return [path.parent for path in found if (path.parent / "complete-0").exists()]


def free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def cluster(tmp_path) -> Cluster:
    made = Cluster(tmp_path)
    make_model(tmp_path / "base")
    rows = pq.read_table(make_dialogues(tmp_path) / "dialogues.parquet").to_pylist()
    (tmp_path / "dialogues.jsonl").write_text("".join(json.dumps({"messages": row["messages"]}) + "\n" for row in rows))
    made.spec.write_text(SPEC)
    plan = make_plan(compile_spec(made.spec), made.store, targets=["data", "base"])
    assert build(plan, made.store, lambda *_: None, BuildOptions()).ok
    return made


def uninterrupted(cluster: Cluster) -> dict[str, bytes]:
    """What one node with two processes gives."""
    store = Store(cluster.folder / "other")
    plan = make_plan(compile_spec(cluster.spec, sets=["stages.tuned.launch.nodes=1"]), store)
    done = build(plan, store, lambda *_: None, BuildOptions())
    assert done.ok
    return contents(store.output(done.results["tuned"]))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("node-1", Address("node-1", 29400)),
        ("node-1:29500", Address("node-1", 29500)),
        ("[fe80::1]:80", Address("fe80::1", 80)),
        ("[fe80::1]", Address("fe80::1", 29400)),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["", ":29400", "node:port", "node:0", "node:70000"])
def test_what_is_no_address(text):
    with pytest.raises(UserError, match="E542"):
        parse_address(text)


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--head", "node-1"], ["--head", "node-1", "--node", "2"]])
def test_a_node_needs_its_number_and_its_head(cluster, options):
    command = [sys.executable, "-m", "astro_factory", "launch", f"{cluster.spec}:tuned", "--store"]
    done = subprocess.run([*command, str(cluster.store.root), *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "E547 'tuned' runs on 2 nodes" in done.stderr


@pytest.mark.slow
def test_two_nodes_train_together(cluster):
    cluster.run("--set", "stages.tuned.epochs=1", "--json")
    assert "node 1 trains with the head" in cluster.said(1)
    for node in (0, 1):
        found = json_shape("launch --json").validate_json(cluster.said(node).splitlines()[-1], strict=True)
        assert (found["ok"], found["node"], found["status"]) == (True, node, "ok")
        assert (found["build"] is None) == (node == 1)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end children")
@pytest.mark.parametrize(
    ("killed", "number", "codes", "words"),
    [
        (1, signal.SIGKILL, [1, -9], {0: "was lost; launch again on all nodes"}),
        (0, signal.SIGKILL, [-9, 1], {1: "the head was lost"}),
        # preempted: both save a checkpoint, whichever of them gets the signal
        (0, signal.SIGTERM, [130, 130], {1: "the head was interrupted"}),
        (1, signal.SIGTERM, [1, 130], {0: "run again to resume"}),
    ],
)
def test_a_node_that_is_killed_costs_the_steps_since_the_last_checkpoint(cluster, killed, number, codes, words):
    port = free_port()
    nodes = [cluster.start(node, port) for node in (1, 0)][::-1]
    wait_for(lambda: cluster.checkpoints() or any(node.poll() is not None for node in nodes))
    started = started_by(nodes[0].pid) | started_by(nodes[1].pid)
    assert len(started) >= 6, cluster.said(0)
    os.kill(nodes[killed].pid, number)
    assert [node.wait(HANG_S) for node in nodes] == codes, cluster.said(0) + cluster.said(1)
    for node, text in words.items():
        assert text in cluster.said(node)
    wait_for(lambda: not any(alive(pid) for pid in started))
    cluster.run()
    assert cluster.output() == uninterrupted(cluster)
