"""Child processes that run one function, one call at a time, and can be killed in the middle of it.

A worker is a fresh interpreter and never a fork, so it is safe beside threads and CUDA and can be started from any
thread. It ignores Ctrl-C, and ends by itself when its parent is gone, however the parent went:

    with Worker("package.module:function", memory_bytes=2 << 30) as worker:
        worker.call(argument, timeout_s=5.0)
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from astro_factory.core import stacks
from astro_factory.core.errors import UserError

START_LIMIT_S = 120.0
_CPU_GRACE_S = 5


class WorkerError(Exception):
    """The function raised something; the text is the worker's traceback."""


class WorkerTimeout(WorkerError):
    """No answer within the limit; the worker was killed."""


class WorkerDied(WorkerError):
    """The worker's process ended in the middle of a call (memory limit, crash)."""


class Worker:
    """One process that runs `target` (`module:function`, of one picklable argument). Not shared between threads."""

    def __init__(self, target: str, *, memory_bytes: int = 0, environment: Mapping[str, str] | None = None):
        """Start the process and wait until it has imported its function.

        Args:
            target: what to run; its module is imported before the first call, outside any call's time limit.
            memory_bytes: limit of the address space, where the system has one; 0 is none.
            environment: variables beside the parent's.
        """
        self._connection, child = Pipe()
        path = os.pathsep.join(part or os.getcwd() for part in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(child.fileno()), str(os.getpid()), target, str(memory_bytes)],
            pass_fds=[child.fileno()],
            stdin=subprocess.DEVNULL,
            # equal hashes in all workers, so that no order of a set shows in a result
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0", **(environment or {})},
        )
        child.close()
        self._receive(START_LIMIT_S)

    def call(self, argument: Any, timeout_s: float | None = None) -> Any:
        """What the function returns.

        Raises:
            WorkerTimeout, WorkerDied: the worker is gone; make a new one.
            WorkerError: the function raised; the worker goes on.
            UserError: the function raised one.
        """
        try:
            self._connection.send((argument, timeout_s))
        except OSError:
            self._end()
            raise WorkerDied(self._obituary()) from None
        return self._receive(timeout_s)

    def close(self) -> None:
        """End the process now, whatever it is doing."""
        self._end()

    def kill(self) -> None:
        """The same from another thread: a call that is under way raises `WorkerDied`. Close it afterwards."""
        self._process.kill()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self, timeout_s: float | None) -> Any:
        try:
            if not self._connection.poll(timeout_s):
                self._end()
                raise WorkerTimeout(f"no answer within {timeout_s:g} s")
            state, value = self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._end()
            raise WorkerDied(self._obituary()) from None
        except BaseException:
            # an interrupted wait leaves an answer that belongs to no later call
            self._end()
            raise
        if state == "user_error":
            raise UserError(*value)
        if state == "error":
            raise WorkerError(value)
        return value

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _obituary(self) -> str:
        return f"the worker's process ended with status {self._process.returncode}"


def _serve(connection: Connection, target: str) -> None:
    module, _, name = target.partition(":")
    function = getattr(import_module(module), name)
    connection.send(("ready", None))
    while True:
        try:
            argument, timeout_s = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        if timeout_s is not None:
            _limit_cpu(timeout_s)
        try:
            reply = ("done", function(argument))
        except UserError as error:
            reply = ("user_error", error.diagnostics)
        except Exception:
            reply = ("error", traceback.format_exc())
        connection.send(reply)


def _limit_memory(memory_bytes: int) -> None:
    import resource

    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit but refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _limit_cpu(timeout_s: float) -> None:
    """Let the system end a call that runs on after its parent is gone, even inside one long C operation."""
    import resource

    soft = math.ceil(time.process_time() + timeout_s) + _CPU_GRACE_S
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _main(handle: str, parent: str, target: str, memory_bytes: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(int(parent),), daemon=True).start()
    stacks.listen(f"worker {target}")
    if int(memory_bytes):
        _limit_memory(int(memory_bytes))
    _serve(Connection(int(handle)), target)


if __name__ == "__main__":
    _main(*sys.argv[1:])
