"""Training on a Ray cluster: an actor on each node runs torchrun with this node's share of the processes.

    launch: {processes: 16, nodes: 2, backend: ray}

The processes are those of `training.launch`, so equal configs give equal bytes on Ray and without it. A node that is
lost costs the steps since the last checkpoint: the others are ended, and all start again where the cluster has room.
"""

import os
import platform
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.ray_cluster import Room, connect, gpus_for, store_errors
from astro_factory.training.failures import clear_failures, log_tail, raise_first, read_failures
from astro_factory.training.head import Meeting, NodeLost
from astro_factory.training.launch_settings import Launch
from astro_factory.training.nodes import description, differences
from astro_factory.training.settings import TrainingConfig

_MAX_LOSSES = 3
"""Losses of nodes in a row, without a new checkpoint in between, that end the stage."""
_ENDING_S = 60.0
"""How long the processes of other nodes may take to fail once those of one have failed."""
_EXIT_S = 20.0
_Follow = Callable[[Callable[[], bool]], None]
"""Forwards the events of the processes for as long as its argument returns true."""


class _Job(NamedTuple):
    """What the actors need to know."""

    launch: Launch
    file: str
    """The job of the processes, in the store that all nodes share."""
    grace_s: float
    openmp_threads: str


class _Ended(NamedTuple):
    """How the processes of a node ended."""

    code: int
    log: list[str]


class _Node:
    """Runs on a node."""

    def __init__(self) -> None:
        self._process: Any = None

    def describe(self, job: _Job) -> dict[str, str]:
        """Versions, the digest of the job's file as this node sees it, and its name. Raises `UserError` E506, E548."""
        from astro_factory.training.launch import check_sharding, hide_gpus

        hide_gpus(job.launch)  # Ray shows them all to an actor that asks for none
        check_sharding(job.launch)
        file = Path(job.file)
        seen = sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
        return description() | {"job": seen, "host": platform.node()}

    def address(self) -> tuple[str, int]:
        """Where torchrun's processes can meet on this node."""
        import ray

        with socket.create_server(("", 0)) as free:
            return ray.util.get_node_ip_address(), free.getsockname()[1]

    def run(self, job: _Job, meeting: Meeting | None) -> _Ended:
        """Run the processes of this node to their end."""
        from astro_factory.training.launch import start

        os.environ["OMP_NUM_THREADS"] = job.openmp_threads  # Ray has set it to the CPUs of this actor
        with tempfile.TemporaryDirectory(prefix="astro-factory-node-") as folder:
            log_file = Path(folder) / "processes.log"
            with log_file.open("wb") as log:
                self._process = start(job.launch, Path(job.file), job.grace_s, log, meeting)
                code = self._process.wait()
            return _Ended(code, log_tail(log_file))

    def stop(self, grace_s: float) -> None:
        """Let the processes save a checkpoint and end; without a grace end them at once."""
        from astro_factory.training.launch import end

        if self._process is None:
            return
        if not grace_s:
            self._process.kill()
        end(self._process, grace_s)


def run_on_ray(ctx: StageContext, config: TrainingConfig, job_file: Path, follow: _Follow) -> None:
    """Run the processes of a job on the cluster and wait for them.

    Raises:
        UserError: E619 and E640 if there is no cluster, E181 and E641 if it has no room, E544 if nodes differ, and the
            mistake that ended a process.
        NodeLost: nodes were lost again and again.
    """
    connect()
    launch = config.launch
    gpus = gpus_for(
        launch.nodes,
        launch.gpus_per_node,
        needs_gpu=launch.fsdp is not None,
        smaller="raise launch.nodes, so that a node has fewer of the processes",
        fewer="lower launch.processes",
    )
    room = Room({"CPU": launch.processes_per_node * config.threads, "GPU": gpus}, "a node's processes", ctx.events.log)
    job = _Job(launch, str(job_file), config.grace_s, os.environ.get("OMP_NUM_THREADS", "1"))
    losses = 0
    while True:
        before = _checkpoints(ctx.scratch)
        clear_failures(ctx.scratch)
        try:
            with _nodes(room, launch, job) as nodes:
                ctx.events.phase("rendezvous")
                meeting = _meet(nodes, job)
                return _train(nodes, job, meeting, ctx.scratch, follow)
        except NodeLost as error:
            losses = 1 if _checkpoints(ctx.scratch) != before else losses + 1
            if losses == _MAX_LOSSES:
                raise
            ctx.events.log(f"{error}; training starts again from its last checkpoint")


def _checkpoints(work: Path) -> set[str]:
    return {str(path) for path in work.glob("checkpoints/*/complete-*")}


@contextmanager
def _nodes(room: Room, launch: Launch, job: _Job) -> Iterator[list[Any]]:
    """An actor for each node, once the cluster has room for all of them. What they still run ends with the block.

    After an interruption, which is any exception but an error of training, the processes may save a checkpoint.
    """
    import ray

    place = room.place(launch.nodes)
    nodes: list[Any] = []  # of Any, because Ray's stubs do not know the methods of an actor
    grace_s = job.grace_s
    try:
        room.wait(place)
        # `stop` has to be possible while `run` runs
        nodes = [place.start(_Node, node=number, max_concurrency=2) for number in range(launch.nodes)]
        yield nodes
        grace_s = 0.0
    except Exception:
        grace_s = 0.0
        raise
    finally:
        stopping = [node.stop.remote(grace_s) for node in nodes]
        if stopping:
            ray.wait(stopping, num_returns=len(stopping), timeout=grace_s + _EXIT_S)
        for node in nodes:
            ray.kill(node)
        place.close()


def _meet(nodes: list[Any], job: _Job) -> Meeting | None:
    """Compare the nodes; where their processes meet. Raises `UserError` E544."""
    wait_s = job.launch.rendezvous_s
    found: list[dict[str, str]] = _answers([node.describe.remote(job) for node in nodes], wait_s)
    # a head without GPUs may lead nodes with GPUs
    wanted = description() | {"device": found[0]["device"], "job": sha256(Path(job.file).read_bytes()).hexdigest()}
    wrong = [fault for number, theirs in enumerate(found) for fault in _faults(number, theirs, wanted, job.file)]
    if wrong:
        raise UserError(*wrong)
    if len(nodes) == 1:
        return None
    [(host, port)] = _answers([nodes[0].address.remote()], wait_s)
    return Meeting(0, host, port)


def _faults(number: int, theirs: Mapping[str, str], wanted: Mapping[str, str], file: str) -> Iterator[Diagnostic]:
    name = f"node {number} ({theirs['host']})"
    if theirs["job"] != wanted["job"]:
        yield Diagnostic("E544", f"{name} does not see {file}", "use a store in a folder that all nodes share")
    theirs = {key: value for key, value in theirs.items() if key not in ("host", "job")}
    if found := differences({key: value for key, value in wanted.items() if key != "job"}, theirs):
        yield Diagnostic("E544", f"{name} has {', '.join(found)}", "use one environment on all nodes of the cluster")


def _answers(references: list[Any], wait_s: float) -> list[Any]:
    import ray
    from ray.exceptions import GetTimeoutError, RayActorError

    try:
        with store_errors():
            return ray.get(references, timeout=wait_s)
    except (RayActorError, GetTimeoutError) as error:
        raise NodeLost(f"a node of the Ray cluster was lost before it trained: {_first_line(error)}") from error


def _train(nodes: list[Any], job: _Job, meeting: Meeting | None, work: Path, follow: _Follow) -> None:
    """Run the processes to their end. Raises `NodeLost`, or what ended them."""
    runs = {
        node.run.remote(job, meeting and meeting._replace(node=number)): number for number, node in enumerate(nodes)
    }
    watch = _Watch(runs)
    follow(watch.is_running)
    if watch.lost is None and not any(ended.code for ended in watch.ended.values()):
        return
    failures = read_failures(work)
    codes = ", ".join(f"{ended.code} on node {number}" for number, ended in sorted(watch.ended.items()))
    log = next((ended.log for _, ended in sorted(watch.ended.items()) if ended.code), [])
    raise_first(failures, f"{job.launch.processes} training processes ended with code {codes}", watch.lost, log)


class _Watch:
    """Which nodes have ended, and how."""

    def __init__(self, runs: dict[Any, int]):
        self._runs = dict(runs)
        self.ended: dict[int, _Ended] = {}
        self.lost: NodeLost | None = None
        self._deadline: float | None = None

    def is_running(self) -> bool:
        """Whether to wait on: some run, and none has failed; after a failure the others have a while to fail too."""
        import ray
        from ray.exceptions import RayActorError

        ready, _ = ray.wait(list(self._runs), num_returns=len(self._runs), timeout=0)
        for reference in ready:
            number = self._runs.pop(reference)
            try:
                with store_errors():
                    self.ended[number] = ray.get(reference)
            except RayActorError as error:
                self.lost = NodeLost(f"node {number} of the Ray cluster was lost: {_first_line(error)}")
        failed = any(ended.code for ended in self.ended.values())
        if failed and self._deadline is None:
            self._deadline = time.monotonic() + _ENDING_S
        over = self._deadline is not None and time.monotonic() > self._deadline
        return bool(self._runs) and self.lost is None and not over


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
