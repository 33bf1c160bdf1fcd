"""A small pool of killable processes for checks that may hang or exhaust memory, and limits on their input.

The system kills a check that exceeds its CPU time, and a new process replaces it within milliseconds. A hostile answer
costs one time limit and nothing else, and the load of the machine changes no verdict. The pool uses no signals of the
caller's process, so any thread may call it.
"""

import atexit
import os
from collections.abc import Mapping, Sequence
from queue import LifoQueue
from typing import Any

from astro_factory.core.workers import Worker, WorkerDied, WorkerTimeout

MAX_CHARS = 2000
MAX_NESTING = 32

_OPENING, _CLOSING = "([{", ")]}"


def refuse(text: str) -> str:
    """Why a text is too large to parse; empty if it is not."""
    if len(text) > MAX_CHARS:
        return f"longer than {MAX_CHARS} characters"
    return f"nests deeper than {MAX_NESTING} levels" if nesting(text) > MAX_NESTING else ""


def nesting(text: str) -> int:
    """The largest number of brackets that are open at the same time."""
    depth = deepest = 0
    for char in text:
        depth += (char in _OPENING) - (char in _CLOSING)
        deepest = max(deepest, depth)
    return deepest


def worker_count() -> int:
    """Number of processes of a pool on this machine."""
    return min(4, os.cpu_count() or 1)


class WorkerPool:
    """Up to `size` processes that run one function; each starts when it is first needed."""

    def __init__(
        self,
        target: str,
        *,
        size: int,
        timeout_s: float | None,
        cpu_s: float | None = None,
        memory_bytes: int,
        environments: Sequence[Mapping[str, str]] = (),
        respawn: bool = False,
    ):
        """`target` is `module:function`; the limits hold for each call and each process (None and 0: no limit).

        `environments` are variables of each process, beside the parent's; limits and `respawn` as `core.workers` has
        them.
        """
        self._target, self._environments = target, environments or [{}] * size
        self._timeout_s, self._cpu_s, self._memory_bytes, self._respawn = timeout_s, cpu_s, memory_bytes, respawn
        self._fill()
        atexit.register(self.close)

    def call(self, argument: Any, cpu_s: float | None = None) -> Any:
        """What the function returns; waits for a free place first, which does not count against the limits.

        `cpu_s` takes the place of the pool's limit for this call.

        Raises:
            WorkerTimeout, WorkerDied, WorkerError: as `core.workers.Worker.call`; the pool goes on.
        """
        if self._owner != os.getpid():
            self._fill()  # in a fork: the workers belong to the parent
        places = self._places
        environment, worker = places.get()
        try:
            worker = worker or self._start(environment)
            return worker.call(argument, self._timeout_s, cpu_s or self._cpu_s)
        except (WorkerTimeout, WorkerDied):
            worker = worker if worker and worker.alive else None
            raise
        finally:
            places.put((environment, worker))

    def _start(self, environment: Mapping[str, str]) -> Worker:
        return Worker(self._target, memory_bytes=self._memory_bytes, environment=environment, respawn=self._respawn)

    def close(self) -> None:
        """End the idle processes; a later call starts new ones."""
        if self._owner != os.getpid():
            return
        idle = [self._places.get() for _ in range(self._places.qsize())]
        for environment, worker in idle:
            if worker is not None:
                worker.close()
            self._places.put((environment, None))

    def _fill(self) -> None:
        self._owner = os.getpid()
        self._places: LifoQueue[tuple[Mapping[str, str], Worker | None]] = LifoQueue()
        for environment in self._environments:
            self._places.put((environment, None))
