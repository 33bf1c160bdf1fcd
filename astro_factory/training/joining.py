"""The side of a node that is not the head: it joins, runs its share of the processes, and ends with the head."""

import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from astro_factory.core.devices import gpus
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.training.failures import log_tail, read_failures, user_failure
from astro_factory.training.head import Meeting
from astro_factory.training.launch import end, hide_gpus, start
from astro_factory.training.nodes import Address, Line, Message, call
from astro_factory.training.settings import TrainingConfig

_POLL_S = 0.5
_EXIT_S = 15.0


@dataclass(frozen=True, slots=True)
class End:
    """How a launch ended, as the head says."""

    status: Literal["ok", "failed", "interrupted"]
    text: str


def take_part(config: TrainingConfig, address: Address, node: int, staging: Path, show: Callable[[str], None]) -> End:
    """Join the head at `address`, run this node's processes, and wait for the head's end.

    An exception, such as the one of SIGTERM, first lets the processes save a checkpoint.

    Raises:
        UserError: E543 if the head cannot be reached, E541 if it has this node already, E181 if there are too few
            GPUs here.
    """
    hide_gpus(config.launch)
    needed = config.launch.gpus_per_node
    if gpus() and len(gpus()) < needed:
        raise UserError.of("E181", f"node {node} needs {needed} GPUs, and has {len(gpus())}", "lower launch.processes")
    wait_s = config.launch.rendezvous_s
    line = call(address, node, staging, wait_s, lambda: show(f"waits up to {wait_s:,g} s for the head at {address}"))
    try:
        while True:
            match line.next(_POLL_S):
                case {"event": "refused"}:
                    cause = f"the head at {address} has a node {node} already"
                    raise UserError.of("E541", cause, "give each node its own --node")
                case {"event": "job"} as job:
                    if over := _run(job, line, config, node, staging, show):
                        return over
                case message:
                    if over := _end(message):
                        return over
    finally:
        line.close()


def _run(
    job: Message, line: Line, config: TrainingConfig, node: int, staging: Path, show: Callable[[str], None]
) -> End | None:
    """Run the processes of this node and report how they ended; returns the head's end if that comes first."""
    job_file = Path(job["path"])
    if not _is_shared(job_file, staging, job["digest"]):
        fault = Diagnostic("E544", f"node {node} does not see {job_file}", "use a store that all nodes share")
        line.send("ended", code=2, failures=[user_failure(fault)])
        return None
    show("trains with the head")
    own = range(config.launch.processes_per_node * node, config.launch.processes_per_node * (node + 1))
    with tempfile.TemporaryDirectory(prefix="astro-factory-node-") as folder:
        log_file = Path(folder) / "processes.log"
        with log_file.open("wb") as log:
            process = start(config.launch, job_file, config.grace_s, log, Meeting(node, job["host"], job["port"]))
            try:
                over = _follow(process, line)
            finally:
                end(process, config.grace_s + _EXIT_S)
                failures = [failure for failure in read_failures(staging / "work") if failure["rank"] in own]
                line.send("ended", code=process.returncode, failures=failures)
        if process.returncode and not over and not failures:
            show("\n".join(log_tail(log_file)))
    return over


def _is_shared(job_file: Path, staging: Path, digest: str) -> bool:
    """Whether the head's file is in the folder of this node's store, with equal content.

    Only such a file is used: it names the code that the processes run.
    """
    if job_file.parent.parent != staging or not job_file.is_file():
        return False
    content = job_file.read_bytes()
    return sha256(content).hexdigest() == digest and bool(json.loads(content))


def _follow(process: subprocess.Popen[bytes], line: Line) -> End | None:
    """Wait for the processes to end; kills them if the head fails or is gone.

    If the head was interrupted, they may still be writing their part of its checkpoint.
    """
    while process.poll() is None:
        if over := _end(line.next(_POLL_S)):
            if over.status != "interrupted":
                process.kill()
                process.wait()
            return over
    return None


def _end(message: Message | None) -> End | None:
    if message and message["event"] == "end":
        return End(message["status"], message["text"])
    if message and message["event"] == "closed":
        text = "the head was lost; launch again on all nodes, and training resumes from its last checkpoint"
        return End("failed", text)
    return None
