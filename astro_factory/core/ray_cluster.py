"""The Ray cluster of a build: how a stage connects to it and reserves room for its workers.

The cluster is the one that `RAY_ADDRESS` names, otherwise this machine. Its nodes need this package. Each worker gets a
placement group, so that its CPUs and GPUs are on one node, and so that a cluster which grows adds such a node.
"""

import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from astro_factory.core.code_folders import VARIABLE
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.packages import missing

ADDRESS = "RAY_ADDRESS"
WAIT = "ASTRO_FACTORY_RAY_WAIT_S"
"""Environment variable: how long a stage waits for room, in seconds. If it is set, the cluster counts as one that
grows, whatever Ray knows about its autoscaler."""
_WAIT_S = 900.0
_REACH_S = 10.0
_POLL_S = 1.0
_SAY_S = 60.0
_LOCAL = ("", "auto", "local")
"""Addresses without a host: Ray finds or starts a cluster on this machine."""


def connect() -> None:
    """Connect to the cluster, unless this process is connected.

    Raises:
        UserError: E619 if Ray is not installed, E640 if the cluster cannot be reached.
    """
    if missing(["ray"]):
        cause = "`backend: ray` needs the package 'ray', which is not installed"
        raise UserError.of("E619", cause, "pip install 'astro-factory[ray]'")
    import ray

    if ray.is_initialized():
        return
    if fault := unreachable(_REACH_S):
        raise UserError(fault)
    path = os.pathsep.join(part or os.getcwd() for part in sys.path)
    code = {name: text for name, text in os.environ.items() if name == VARIABLE}
    variables = {"PYTHONPATH": path, "PYTHONHASHSEED": "0", **code}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(runtime_env={"env_vars": variables}, include_dashboard=False, log_to_driver=False)
    except Exception as error:
        cause = f"{_where()} does not answer: {(str(error).splitlines() or [type(error).__name__])[0]}"
        raise UserError.of("E640", cause, "see `ray status` there; all nodes need one version of Ray") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray replaces it


def uses_ray(config: Any) -> bool:
    """Whether a stage of this config runs on the cluster."""
    return "ray" in (getattr(config, "backend", ""), getattr(getattr(config, "launch", None), "backend", ""))


def unreachable(wait_s: float, code: str = "E640") -> Diagnostic | None:
    """The diagnostic if nothing listens at `RAY_ADDRESS` within `wait_s`; nothing is imported."""
    address = os.environ.get(ADDRESS, "").strip()
    if address in _LOCAL:
        return None
    remedy = f"set {ADDRESS} to HOST:PORT of the head node, as `ray start --head` prints it, or unset it"
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        return Diagnostic(code, f"{ADDRESS} is '{address}', which is not the address of a head node", remedy)
    try:
        socket.create_connection((host.strip("[]"), int(port)), wait_s).close()
    except OSError as error:
        return Diagnostic(code, f"{_where()} cannot be reached: {error.strerror or error}", remedy)
    return None


def _where() -> str:
    address = os.environ.get(ADDRESS, "").strip()
    return f"the Ray cluster at {address}" if address not in _LOCAL else "the Ray cluster on this machine"


def gpus_for(workers: int, each: int, needs_gpu: bool, smaller: str, fewer: str) -> int:
    """The GPUs to reserve for each of several workers: `each`, or none in a cluster that never has a GPU.

    Args:
        needs_gpu: whether a worker cannot do without a GPU.
        smaller: the remedy if the GPUs of a single node are too few for one worker.
        fewer: the remedy if all GPUs are too few for the workers, with `{room}` for the number that fits.

    Raises:
        UserError: E181 if the cluster has too few GPUs and does not grow.
    """
    import ray

    nodes = [int(node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"]]
    possible = max(sum(nodes), _greatest("GPU"))
    if each == 0 or (possible == 0 and not needs_gpu and WAIT not in os.environ):
        return 0
    if possible > sum(nodes) or WAIT in os.environ:
        return each
    if max(nodes, default=0) < each:
        has = f"the largest of its nodes has {max(nodes)}" if sum(nodes) else "it has no GPU"
        raise UserError.of("E181", f"a worker needs {each} GPUs on one node of the Ray cluster, and {has}", smaller)
    room = sum(gpus // each for gpus in nodes)
    if room < workers:
        cause = f"{workers} workers need {each * workers} GPUs, and the Ray cluster has {sum(nodes)}"
        cause += "" if each == 1 else f", {each} on one node for {room} of them"
        raise UserError.of("E181", cause, f"{fewer.format(room=room)}, or set {WAIT} if nodes will join")
    return each


def _greatest(resource: str) -> int:
    """How much of a resource the cluster may grow to, as far as its autoscaler has said so."""
    from ray._private.state import state

    try:
        limits = state.get_max_resources_from_cluster_config()
    except AttributeError:  # not part of Ray's stable interface
        limits = None
    return int((limits or {}).get(resource, 0))


def wait_limit() -> float:
    """How long a stage waits for room, in seconds. Raises `UserError` E641 if the variable is not a number."""
    text = os.environ.get(WAIT, "")
    try:
        limit = float(text or _WAIT_S)
    except ValueError:
        limit = math.nan
    if not 0 < limit < math.inf:
        raise UserError.of("E641", f"{WAIT} is '{text}', which is not a number of seconds", "write it as in 900")
    return limit


class Room:
    """The room that workers of one stage need on a cluster, each worker its own place."""

    def __init__(self, bundle: Mapping[str, float], worker: str, log: Callable[[str], None]):
        """
        Args:
            bundle: resources on one node, such as `{"CPU": 1, "GPU": 2}`.
            worker: what messages call a worker, such as `an engine`.
        """
        self.bundle = {name: float(amount) for name, amount in bundle.items() if amount}
        self._worker, self._log = worker, log
        self._limit_s = wait_limit()
        self._places: set[Place] = set()
        self._since = self._said = time.monotonic()
        self._first = True

    def place(self, nodes: int = 1) -> "Place":
        """A new place, which may be free later; several bundles if a worker runs on several nodes."""
        place = Place(self, nodes)
        self._places.add(place)
        self._since, self._first = time.monotonic(), True
        return place

    def waits(self, place: "Place") -> bool:
        """Whether a place is not free yet, which is said in the log.

        Raises:
            UserError: E641 if no place of the stage is free within the limit.
        """
        if place.is_free():
            self._since = time.monotonic()
            return False
        now = time.monotonic()
        if any(other.is_free() for other in self._places):
            self._since = now
        elif now - self._since > self._limit_s:
            remedy = f"end other jobs or add nodes, or raise {WAIT}; finished work is kept"
            cause = f"the Ray cluster had no room for {self._worker} within {self._limit_s:,g} s: {self._lacking()}"
            raise UserError.of("E641", cause, remedy)
        elif self._first or now - self._said > _SAY_S:
            self._log(f"waits up to {self._limit_s:,g} s for room on the Ray cluster: {self._lacking()}")
            self._first, self._said = False, now
        return True

    def wait(self, place: "Place") -> None:
        """Wait until a place is free. Raises what `waits` raises."""
        while self.waits(place):
            time.sleep(_POLL_S)

    def forget(self, place: "Place") -> None:
        self._places.discard(place)

    def _lacking(self) -> str:
        import ray

        free = ray.available_resources()
        needed = ", ".join(f"{amount:g} {name}" for name, amount in self.bundle.items())
        there = ", ".join(f"{free.get(name, 0):g} {name}" for name in self.bundle)
        return f"it needs {needed} on one node, and {there} are free in all"


class Place:
    """Resources for one worker."""

    def __init__(self, room: Room, nodes: int):
        from ray.util.placement_group import placement_group

        self._room = room
        self._group = placement_group([room.bundle] * nodes, strategy="PACK")
        self._free = False
        self._asked = -math.inf

    def is_free(self) -> bool:
        """Whether the resources are reserved; asked at most once a second."""
        if not self._free and time.monotonic() - self._asked > _POLL_S:
            from ray.util.placement_group import placement_group_table

            self._asked = time.monotonic()
            self._free = placement_group_table(self._group).get("state") == "CREATED"
        return self._free

    def start(self, kind: type, *arguments: object, node: int = 0, **options: Any) -> Any:
        """An actor that takes the whole place, or its share on one of the nodes; it starts once the place is free.

        The result is of type Any because Ray's stubs do not know the methods of an actor.
        """
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        amounts = self._room.bundle
        where = PlacementGroupSchedulingStrategy(self._group, node, placement_group_capture_child_tasks=False)
        options |= {"num_cpus": amounts.get("CPU", 0), "num_gpus": amounts.get("GPU", 0)}
        return ray.remote(**options, scheduling_strategy=where)(kind).remote(*arguments)

    def close(self) -> None:
        """Give the resources back; this ends the actors that use them."""
        from ray.util.placement_group import remove_placement_group

        self._room.forget(self)
        remove_placement_group(self._group)


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise the errors of a full object store or disk of the cluster as `UserError` E642."""
    from ray.exceptions import ObjectStoreFullError, OutOfDiskError, RayError, RayTaskError

    try:
        yield
    except RayError as error:
        cause = getattr(error, "cause", None) if isinstance(error, RayTaskError) else error
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, ObjectStoreFullError | OutOfDiskError):
            raise _full(str(cause)) from error
        raise


def _full(message: str) -> UserError:
    cause = f"the object store of the Ray cluster is full: {message.strip().splitlines()[0]}"
    remedy = "start its nodes with more --object-store-memory, or with a spill folder on a larger disk; then run the "
    return UserError.of("E642", cause, remedy + "command again: finished work is kept")


def other_nodes() -> bool:
    """Whether workers may run on a machine other than this process's: there are more nodes, or there may be."""
    import ray

    return sum(node["Alive"] for node in ray.nodes()) > 1 or _greatest("CPU") > 0 or WAIT in os.environ
