"""The head's side of training on several nodes: it waits for the others, compares versions, and watches them."""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.training.failures import Failure
from astro_factory.training.launch_settings import Launch
from astro_factory.training.nodes import HEAD_HOST, HUB_PORT, Address, Line, Message, call, description, differences

_POLL_S = 0.2
_SAME = "use one environment, one spec and one shared store on all nodes"
_ENDING_S = 20.0
"""How long the other nodes may take to report their failures once the head's processes have failed."""


def meet(ctx: StageContext, launch: Launch) -> "Members":
    """Wait until all nodes of a launch are there.

    Raises `UserError` E546 if this stage was not started by `launch`, and what `Members.gather` raises.
    """
    if HUB_PORT not in os.environ:
        cause = f"'{ctx.name}' trains on {launch.nodes} nodes, and `build` starts processes on one"
        remedy = f"run `astro-factory launch SPEC:{ctx.name}` on each node, or set launch.nodes to 1"
        raise UserError.of("E546", cause, remedy)
    staging = ctx.scratch.parent
    members = Members(call(Address("localhost", int(os.environ[HUB_PORT])), 0, staging, launch.rendezvous_s), launch)
    ctx.events.phase("rendezvous")
    ctx.events.log(f"waits for {launch.nodes - 1} other nodes")
    try:
        members.gather(staging)
    except BaseException:
        members.close()
        raise
    return members


class NodeLost(RuntimeError):
    """Another node is gone, or its processes have failed."""


class Meeting(NamedTuple):
    """What torchrun needs to know on a node."""

    node: int
    host: str
    """The head."""
    port: int
    """Of torchrun's rendezvous."""


@dataclass(slots=True)
class _Member:
    host: str
    staging: Path
    versions: Mapping[str, str]
    gone: bool = False
    code: int | None = None
    """Exit code of its torchrun, once that has ended."""
    failures: list[Failure] = field(default_factory=list)


class Members:
    """The other nodes, as the head knows them."""

    def __init__(self, line: Line, launch: Launch):
        self._line, self._launch = line, launch
        self._members: dict[int, _Member] = {}

    def gather(self, staging: Path) -> None:
        """Wait for all nodes.

        Raises `UserError` E541 if some do not join in time, and E544 if one differs from this node.
        """
        wait_s = self._launch.rendezvous_s
        deadline = time.monotonic() + wait_s
        while missing := [node for node in range(1, self._launch.nodes) if not self._is_there(node)]:
            if time.monotonic() > deadline:
                names = ", ".join(map(str, missing))
                cause = f"{len(missing)} of {self._launch.nodes} nodes did not join within {wait_s:,g} s: node {names}"
                remedy = "run the same `astro-factory launch` on each node with its own --node, or raise rendezvous_s"
                raise UserError.of("E541", cause, remedy)
            self._listen()
        ours = description()
        wrong = [
            Diagnostic("E544", f"node {node} ({member.host}) has {', '.join(found)}", _SAME)
            for node, member in sorted(self._members.items())
            if (found := differences(ours, member.versions) + _other_work(staging, member.staging))
        ]
        if wrong:
            raise UserError(*wrong)

    def begin(self, job_file: Path) -> Meeting:
        """Have the other nodes start their processes; returns what this node's need."""
        host = os.environ[HEAD_HOST]
        with socket.create_server(("", 0)) as free:
            port = free.getsockname()[1]
        digest = sha256(job_file.read_bytes()).hexdigest()
        self._line.send("job", path=str(job_file), digest=digest, host=host, port=port)
        return Meeting(0, host, port)

    def check(self) -> None:
        """Raises `NodeLost` if a node is gone or its processes have failed."""
        self._listen(0)
        if found := self.lost():
            raise found

    def lost(self) -> NodeLost | None:
        """The first node that is gone, or that has failed, if there is one."""
        for node, member in sorted(self._members.items()):
            if member.gone and member.code is None:
                return NodeLost(
                    f"node {node} ({member.host}) was lost; launch again on all nodes, and training resumes from its "
                    "last checkpoint"
                )
            if member.code and not any(failure["kind"] == "stopped" for failure in member.failures):
                return NodeLost(f"the processes of node {node} ({member.host}) ended with code {member.code}")
        return None

    def failures(self, ours: Sequence[Failure]) -> list[Failure]:
        """The failures of all nodes, once each has reported or a time is over."""
        deadline = time.monotonic() + _ENDING_S
        while time.monotonic() < deadline and not all(m.gone or m.code is not None for m in self._members.values()):
            self._listen()
        theirs = {failure["rank"]: failure for member in self._members.values() for failure in member.failures}
        return list((theirs | {failure["rank"]: failure for failure in ours}).values())

    def close(self) -> None:
        self._line.close()

    def _is_there(self, node: int) -> bool:
        return node in self._members and not self._members[node].gone

    def _listen(self, timeout_s: float = _POLL_S) -> None:
        while message := self._line.next(timeout_s):
            self._note(message)
            timeout_s = 0

    def _note(self, message: Message) -> None:
        node = message.get("node", 0)
        if message["event"] == "closed":
            raise NodeLost("the `astro-factory launch` of this node is gone")
        if message["event"] == "hello" and 0 < node < self._launch.nodes:
            self._members[node] = _Member(message["host"], Path(message["staging"]), message["versions"])
        elif message["event"] == "left" and node in self._members:
            self._members[node].gone = True
        elif message["event"] == "ended" and node in self._members:
            self._members[node].code = message["code"]
            self._members[node].failures = message["failures"]


def _other_work(ours: Path, theirs: Path) -> list[str]:
    """How the place where another node would work differs from ours."""
    if ours.parent != theirs.parent:
        return [f"the store {theirs.parent.parent} instead of {ours.parent.parent}"]
    return [] if ours == theirs else ["another key for this stage, so another spec, other inputs or other options"]
