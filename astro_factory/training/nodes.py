"""How the nodes of a launch talk to each other: JSON lines over TCP, passed on by the head.

The head's `launch` runs a `Hub`. The head's stage process and every other node connect to it, say who they are, and get
every message of the others. A node that dies closes its connection; one that loses power stops sending beats. So all
nodes learn within a minute that one of them is gone, even while their GPUs wait for it.

Messages are data only. Like PyTorch's own rendezvous they are not encrypted: keep the ports inside the cluster.
"""

import contextlib
import json
import platform
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from astro_factory import __version__
from astro_factory.core.devices import gpus
from astro_factory.core.errors import UserError
from astro_factory.core.versions import library_versions

DEFAULT_PORT = 29400
HUB_PORT = "ASTRO_FACTORY_HUB_PORT"
"""Environment variable of the head's stage process: the port of the hub on this machine."""
HEAD_HOST = "ASTRO_FACTORY_HEAD_HOST"
"""Environment variable of the head's stage process: the name by which the other nodes reach this machine."""
_BEAT_S = 5.0
_SILENT_S = 60.0
"""A connection without a message or a beat for so long is dead."""
_RETRY_S = 0.5
_LONGEST = 1 << 20
"""Longest message, in bytes."""

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the head listens."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """An address from `HOST`, `HOST:PORT` or `[IPv6]:PORT`. Raises `UserError` E542."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text.strip(), str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UserError.of("E542", f"'{text}' is no address of a head node", "write HOST:PORT, as in node-1:29400")
    return Address(host, int(port))


def description() -> dict[str, str]:
    """What has to be equal on all nodes."""
    found = {"astro-factory": __version__, "python": platform.python_version(), **library_versions()}
    return found | {"device": "GPUs" if gpus() else "CPU"}


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """The entries of another node's description that differ from ours, as text."""
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return [f"{name} {theirs.get(name, 'missing')} instead of {ours.get(name, 'none')}" for name in names]


class Connection:
    """JSON lines over a socket, with beats in both directions."""

    def __init__(self, connected: socket.socket):
        self._socket, self._lock = connected, threading.Lock()
        connected.settimeout(_SILENT_S)
        self._lines = connected.makefile("rb")
        self._closed = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def send(self, message: Message) -> None:
        """Send a message; one to a connection that is gone is lost."""
        with contextlib.suppress(OSError), self._lock:
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> Iterator[Message]:
        """The messages until the connection is gone, silent for too long, or sends something else."""
        with contextlib.suppress(OSError, ValueError):
            while line := self._lines.readline(_LONGEST):
                message = json.loads(line)
                if not isinstance(message, dict):
                    return
                if message:
                    yield message

    def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _beat(self) -> None:
        while not self._closed.wait(_BEAT_S):
            self.send({})


class Hub:
    """Passes each message on to all other nodes, and those from before to a node that joins."""

    def __init__(self, port: int):
        """Listen on all interfaces; port 0 chooses a free one. Raises `UserError` E545 if the port is in use."""
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        try:
            self._server = socket.create_server(("", port), family=family, dualstack_ipv6=both)
        except OSError as error:
            cause = f"the head cannot listen on port {port}: {error.strerror}"
            raise UserError.of("E545", cause, "choose another port with --head HOST:PORT, on all nodes") from error
        self.port: int = self._server.getsockname()[1]
        self._lock = threading.Lock()
        self._nodes: dict[int, Connection] = {}
        self._said: list[Message] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self, status: str, text: str) -> None:
        """Tell all nodes how the head's build ended (`ok`, `failed`, `interrupted`), then close."""
        self._say({"event": "end", "status": status, "text": text})
        with self._lock:
            connections = list(self._nodes.values())
        for connection in connections:
            connection.close()
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the server is closed
            while True:
                connected, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(Connection(connected),), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        messages = connection.receive()
        hello = next(messages, {})
        node = hello.get("node")
        if hello.get("event") != "hello" or not isinstance(node, int):
            return connection.close()
        if not self._join(node, connection):
            connection.send({"event": "refused", "node": node})
            return connection.close()
        self._say(hello)
        for message in messages:
            self._say(message | {"node": node})
        with self._lock:
            del self._nodes[node]
        self._say({"event": "left", "node": node})
        connection.close()

    def _join(self, node: int, connection: Connection) -> bool:
        """Add a node and send it what was said before; False if it is there already."""
        with self._lock:
            if node in self._nodes:
                return False
            for message in self._said:
                connection.send(message)
            self._nodes[node] = connection
            return True

    def _say(self, message: Message) -> None:
        with self._lock:
            self._said.append(message)
            for node, connection in self._nodes.items():
                if node != message.get("node"):
                    connection.send(message)


class Line:
    """A node's connection to the hub; what the other nodes say waits in a queue."""

    def __init__(self, connection: Connection, node: int, staging: Path):
        """`staging` is the folder in which the stage works, as this node computes it."""
        self._connection = connection
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        host = socket.gethostname()
        versions = description()
        connection.send({"event": "hello", "node": node, "host": host, "staging": str(staging), "versions": versions})
        threading.Thread(target=self._receive, daemon=True).start()

    def send(self, event: str, **values: object) -> None:
        self._connection.send({"event": event, **values})

    def next(self, timeout_s: float) -> Message | None:
        """The next message, or None when there is none in time. The event `closed` means that the hub is gone."""
        with contextlib.suppress(Empty):
            return self._inbox.get(timeout=timeout_s)
        return None

    def close(self) -> None:
        self._connection.close()

    def _receive(self) -> None:
        for message in self._connection.receive():
            self._inbox.put(message)
        self._inbox.put({"event": "closed"})


def call(address: Address, node: int, staging: Path, wait_s: float, waiting: Callable[[], None] = lambda: None) -> Line:
    """Connect to the head, for at most `wait_s` seconds; `waiting` is called after the first failure.

    Raises `UserError` E543 if the head cannot be reached.
    """
    deadline = time.monotonic() + wait_s
    first = True
    while True:
        left = deadline - time.monotonic()
        try:
            connected = socket.create_connection((address.host, address.port), max(0.1, left))
            return Line(Connection(connected), node, staging)
        except OSError as error:
            if left < _RETRY_S:
                cause = f"the head node at {address} cannot be reached after {wait_s:,g} s: {error.strerror or error}"
                remedy = "start the head with `--node 0`, and check the address, the name and the firewall between them"
                raise UserError.of("E543", cause, remedy) from error
        if first:
            waiting()
            first = False
        time.sleep(_RETRY_S)
