"""What keeps nodes from training together is an error in bounded time."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import astro_factory
from astro_factory.core.devices import INVENTORY, VISIBLE, gpus
from astro_factory.core.errors import UserError
from astro_factory.stages import sft
from astro_factory.training import head, joining, nodes
from astro_factory.training.failures import Failure, Interrupted, raise_first, read_failures, record_failure
from astro_factory.training.head import NodeLost
from astro_factory.training.nodes import HEAD_HOST, HUB_PORT, Address, Hub, call
from astro_factory.training.slurm import slurm_script
from tests.training.tiny import context

ROOT = str(Path(astro_factory.__file__).parents[1])
SPEC = """\
factory: 1
name: small
models: {blank: {kind: init}}
stages:
  lessons: {kind: practice, count: 40, numbers: {3: 1.0}}
  tuned: {kind: sft, model: blank, data: lessons, learning_rate: 0.01, launch: {processes: 2, nodes: 2}}
"""


def config(nodes: int = 2, rendezvous_s: float = 0.5) -> sft.Config:
    launch = {"processes": nodes, "nodes": nodes, "rendezvous_s": rendezvous_s}
    return sft.Config(kind="sft", model="m", data="d", learning_rate=1, launch=launch)


@pytest.fixture
def hub(monkeypatch):
    made = Hub(0)
    monkeypatch.setenv(HUB_PORT, str(made.port))
    monkeypatch.setenv(HEAD_HOST, "localhost")
    yield made
    made.close("failed", "the test is over")


def error_of(function, *arguments) -> list[tuple[str, str]]:
    with pytest.raises(UserError) as found:
        function(*arguments)
    return [(diagnostic.code, diagnostic.cause) for diagnostic in found.value.diagnostics]


def wait_for_nodes(hub: Hub) -> None:
    """Until the hub has read the first hello: it serves each connection in a thread of its own."""
    while not hub._nodes:
        time.sleep(0.01)


def staging(tmp_path: Path, name: str = "key") -> Path:
    folder = tmp_path / "staging" / name
    (folder / "work").mkdir(parents=True, exist_ok=True)
    return folder


def test_a_rendezvous_that_never_completes(hub, tmp_path):
    ((code, cause),) = error_of(head.meet, context(staging(tmp_path), {}), config(3).launch)
    assert code == "E541" and cause == "2 of 3 nodes did not join within 0.5 s: node 1, 2"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"versions": {"torch": "1.0"}}, "torch 1.0 instead of"),
        ({"versions": {}}, "torch missing instead of"),
        ({"folder": "elsewhere/staging/key"}, "the store "),
        ({"folder": "staging/other"}, "another key for this stage"),
    ],
)
def test_nodes_that_disagree(hub, tmp_path, monkeypatch, changes, named):
    ours = nodes.description()
    if "versions" in changes:
        versions = ours | changes["versions"] if changes["versions"] else {"python": ours["python"]}
        monkeypatch.setattr(nodes, "description", lambda: versions)
    line = call(Address("localhost", hub.port), 1, tmp_path / changes.get("folder", "staging/key"), 1)
    monkeypatch.setattr(nodes, "description", lambda: ours)
    ((code, cause),) = error_of(head.meet, context(staging(tmp_path), {}), config(rendezvous_s=30).launch)
    line.close()
    assert code == "E544" and named in cause and cause.startswith(f"node 1 ({socket.gethostname()}) has ")


def test_a_node_that_leaves_and_returns_is_there_once(hub, tmp_path):
    for _ in range(2):
        line = call(Address("localhost", hub.port), 1, staging(tmp_path), 1)
        wait_for_nodes(hub)
        second = call(Address("localhost", hub.port), 1, staging(tmp_path), 1)
        assert second.next(30) == {"event": "refused", "node": 1}
        members = head.meet(context(staging(tmp_path), {}), config(rendezvous_s=30).launch)
        line.close()
        with pytest.raises(NodeLost, match=r"node 1 .* was lost"):
            for _ in range(100):
                members.check()
                members._listen(0.1)
        members.close()


@pytest.mark.parametrize("host", ["localhost", "no-such-host.invalid"])
def test_a_head_that_cannot_be_reached(tmp_path, host):
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
    shown: list[str] = []
    ((code, cause),) = error_of(
        joining.take_part, config(rendezvous_s=1.5), Address(host, port), 1, staging(tmp_path), shown.append
    )
    assert code == "E543" and f"{host}:{port} cannot be reached after 1.5 s" in cause
    assert shown == [f"waits up to 1.5 s for the head at {host}:{port}"]


@pytest.mark.parametrize(("device", "seen"), [("auto", ["GPU-0", "GPU-1"]), ("cpu", [])])
def test_a_node_trains_on_its_cpu_if_the_stage_says_so(tmp_path, monkeypatch, device, seen):
    """Whatever GPUs it has; else it would differ from the head, whose stages see the GPUs that the build gives them."""
    found = {"gpus": [{"id": f"GPU-{number}", "name": "H100", "memory_gb": 80.0} for number in range(2)]}
    (tmp_path / "inventory.json").write_text(json.dumps(found))
    monkeypatch.setenv(INVENTORY, str(tmp_path / "inventory.json"))
    monkeypatch.setenv(VISIBLE, "")  # so that the test's end restores it
    monkeypatch.delenv(VISIBLE)
    launch = {"processes": 2, "nodes": 2, "rendezvous_s": 0.1, "device": device}
    settings = sft.Config(kind="sft", model="m", data="d", learning_rate=1, launch=launch)
    address = Address("no-such-host.invalid", 29400)
    assert error_of(joining.take_part, settings, address, 1, staging(tmp_path), print)[0][0] == "E543"
    assert gpus() == seen


def test_something_else_that_listens_at_the_heads_address(tmp_path, monkeypatch):
    monkeypatch.setattr(nodes, "_SILENT_S", 0.3)
    with socket.create_server(("", 0)) as server:
        address = Address("localhost", server.getsockname()[1])
        end = joining.take_part(config(), address, 1, staging(tmp_path), print)
    assert end.status == "failed" and "the head was lost" in end.text


def test_the_head_says_how_it_ended(hub, tmp_path):
    line = call(Address("localhost", hub.port), 1, staging(tmp_path), 1)
    wait_for_nodes(hub)
    hub.close("failed", "E181 too few GPUs")
    assert line.next(30) == {"event": "end", "status": "failed", "text": "E181 too few GPUs"}
    assert line.next(30) == {"event": "closed"}


def test_a_port_in_use(hub):
    assert error_of(Hub, hub.port)[0][0] == "E545"


def test_a_build_starts_processes_on_one_node(tmp_path, monkeypatch):
    monkeypatch.delenv(HUB_PORT, raising=False)
    ((code, cause),) = error_of(sft.run, context(staging(tmp_path), {}), config())
    assert code == "E546" and cause == "'stage' trains on 2 nodes, and `build` starts processes on one"


def test_a_job_outside_the_nodes_own_store_is_not_run(hub, tmp_path):
    """It names the code to run, and anybody in the network could send it."""
    (tmp_path / "elsewhere" / "work").mkdir(parents=True)
    other = tmp_path / "elsewhere" / "work" / "processes.json"
    other.write_text("{}")
    assert not joining._is_shared(other, staging(tmp_path), "")


@pytest.mark.parametrize(
    ("failures", "raised", "words"),
    [
        ({0: RuntimeError("gloo: Connection closed by peer"), 1: ValueError("its own")}, RuntimeError, "its own"),
        ({0: ValueError("own"), 1: UserError.of("E504", "the loss is nan")}, UserError, "E504"),
        ({0: RuntimeError("gloo: Connection closed by peer")}, NodeLost, "node 1"),
        ({0: Interrupted("stopped after step 3")}, Interrupted, "step 3"),
    ],
)  # fmt: skip
def test_the_cause_is_raised_and_not_its_consequences(tmp_path, failures, raised, words):
    for rank, error in failures.items():
        record_failure(tmp_path, rank, error)
    lost = NodeLost("node 1 was lost") if raised is NodeLost else None
    with pytest.raises(raised, match=words):
        raise_first(read_failures(tmp_path), "2 training processes ended with code 1", lost, [])


def test_a_failure_without_words_shows_the_log(tmp_path):
    failure: Failure = {"rank": 0, "kind": "lost", "text": "closed by peer", "diagnostics": []}
    with pytest.raises(RuntimeError, match=r"(?s)code 1:\nclosed by peer\nthe log"):
        raise_first([failure], "2 training processes ended with code 1", None, ["the log"])


SRUN = """#!/bin/bash
echo "srun $*" >> "$CALLS"
echo "head $ASTRO_FACTORY_HEAD" >> "$CALLS"
exit $SRUN_CODE
"""
SCONTROL = """#!/bin/bash
echo "scontrol $*" >> "$CALLS"
if [ "$1" = show ]; then printf 'gpu-07\\ngpu-08\\n'; fi
"""


@pytest.fixture
def script(tmp_path, monkeypatch) -> str:
    monkeypatch.setattr("sys.executable", "/env/bin/python")
    arguments = ["specs/llama3 8b.yaml:astro_sft"]
    return slurm_script("astro_sft", arguments, nodes=2, gpus=8, cores=8, grace_s=600, folder=tmp_path)


def test_the_slurm_script(script, golden):
    golden(script)


@pytest.mark.parametrize(
    "options",
    [
        ["--set", "stages.tuned.epochs=1", "--set=stages.tuned.loss=all", "--store", "my store", "--json"],
        ["--set=stages.tuned.epochs=1", "--set", "stages.tuned.loss=all", "--store=my store", "--json", "--node", "0"],
        ["--json", "--head", "h", "--store=my store", "--set=stages.tuned.epochs=1", "--set=stages.tuned.loss=all"],
    ],
)
def test_the_script_has_the_options_of_the_stage_and_none_of_a_node(tmp_path, options):
    """Each node of the job has a number and a head of its own."""
    (tmp_path / "a spec.yaml").write_text(SPEC)
    command = [sys.executable, "-m", "astro_factory", "launch", "--slurm", "a spec.yaml:tuned", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ROOT})
    [line] = [line for line in done.stdout.splitlines() if line.startswith("srun ")]
    given = ["a spec.yaml:tuned", "--store=my store", "--set=stages.tuned.epochs=1", "--set=stages.tuned.loss=all"]
    assert shlex.split(line)[6:] == ["launch", *given, "--json"] and f"cd {tmp_path} " in done.stdout


@pytest.mark.parametrize("code", [0, 1, 130])
def test_the_slurm_script_starts_all_nodes_and_requeues_what_was_preempted(tmp_path, script, code):
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / "calls"
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(calls), "SRUN_CODE": str(code)}
    variables |= {"SLURM_JOB_NODELIST": "gpu-[07-08]", "SLURM_JOB_ID": "4217"}
    (tmp_path / "job.sh").write_text(script)
    run = subprocess.run(["bash", str(tmp_path / "job.sh")], env=variables, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (code, "")
    command = "/env/bin/python -m astro_factory launch specs/llama3 8b.yaml:astro_sft"
    expected = ["scontrol show hostnames gpu-[07-08]", f"srun --kill-on-bad-exit=0 --wait=0 {command}"]
    expected.append("head gpu-07:29617")
    assert calls.read_text().splitlines() == expected + (["scontrol requeue 4217"] if code == 130 else [])
