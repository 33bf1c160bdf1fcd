"""Child processes that run one function, one call at a time, and can be killed during a call.

A worker is a fresh interpreter, not a fork of its parent, so it is safe to use with threads and CUDA and can be started
from any thread. It ignores Ctrl-C, and exits by itself when its parent is gone, even after kill -9:

    with Worker("package.module:function", memory_bytes=2 << 30) as worker:
        worker.call(argument, cpu_s=5.0, timeout_s=60.0)

A limit on CPU time (`cpu_s`) counts only the time that the process computes, so a busy machine changes no result; a
limit on elapsed time (`timeout_s`) ends calls that sleep or hang.
"""

import atexit
import contextlib
import gc
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from astro_factory.core import stack_dumps
from astro_factory.core.errors import UserError
from astro_factory.core.user_code import import_target

START_LIMIT_S = 120.0
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # equal hashes in all workers, so that no result depends on the order of a set
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # looking for them reads the metadata of every installed package
}
_CPU_GRACE_S = 5
_WATCH_S = 0.5


class WorkerError(Exception):
    """The function raised something; the text is the worker's traceback."""

    @property
    def last_line(self) -> str:
        """What was raised, without the lines that led to it."""
        return str(self).strip().splitlines()[-1]


class WorkerTimeout(WorkerError):
    """A call exceeded a limit; the process that ran it was killed."""


class WorkerDied(WorkerError):
    """The worker's process ended during a call (memory limit, crash)."""


def limit_exceeded(error: WorkerError, cpu_s: float, memory_bytes: int) -> str:
    """The limit of a call that ended it, as a message says it; empty if the function itself failed."""
    if isinstance(error, WorkerTimeout):
        return f"takes more than {cpu_s:g} s"
    out_of_memory = isinstance(error, WorkerDied) or error.last_line == "MemoryError"
    return f"needs more than {memory_bytes >> 20} MB" if out_of_memory else ""


class Worker:
    """A process that runs `target` (`module:function`, with one picklable argument). Not thread-safe."""

    def __init__(
        self,
        target: str,
        *,
        memory_bytes: int = 0,
        environment: Mapping[str, str] | None = None,
        respawn: bool = False,
    ):
        """Start the process and wait until it has imported its function.

        Args:
            target: what to run; its module is imported before the first call, outside any call's limits.
            memory_bytes: limit of the address space, on systems that support it; 0 is no limit.
            environment: variables to add to the parent's.
            respawn: run the calls in a fork of the process that did the import, so that a fork that was killed or
                crashed is replaced within milliseconds. Only for modules that start no threads.
        """
        self._connection, child = Pipe()
        self._number = 0
        path = os.pathsep.join(part or os.getcwd() for part in sys.path)
        settings = [str(child.fileno()), str(os.getpid()), target, str(memory_bytes), str(int(respawn))]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, *settings],
            pass_fds=[child.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": path, **(environment or {})},
        )
        child.close()
        self._receive(START_LIMIT_S, None)

    @property
    def alive(self) -> bool:
        """Whether the worker can run another call."""
        return not self._connection.closed

    def call(self, argument: Any, timeout_s: float | None = None, cpu_s: float | None = None) -> Any:
        """Run the function and return its result.

        Args:
            argument: anything that can be pickled.
            timeout_s: limit of elapsed time; None is no limit.
            cpu_s: limit of the process's CPU time, summed over its threads; None is no limit.

        Raises:
            WorkerTimeout, WorkerDied: the call has no result; `alive` tells whether the worker can be used again.
            WorkerError: the function raised an exception; the worker can be used again.
            UserError: the function raised a user error; likewise.
        """
        self._number += 1
        try:
            self._connection.send((self._number, argument, timeout_s, cpu_s))
        except OSError:
            self._end()
            raise self._death(self._process.returncode, None) from None
        return self._receive(timeout_s, cpu_s)

    def close(self) -> None:
        """Kill the process."""
        self._end()

    def kill(self) -> None:
        """Kill the process from another thread: a running call raises `WorkerDied`. Call `close` afterwards."""
        self._process.kill()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self, timeout_s: float | None, cpu_s: float | None) -> Any:
        end = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while True:
                if not self._connection.poll(None if end is None else max(0.0, end - time.monotonic())):
                    self._end()
                    raise WorkerTimeout(f"no answer within {timeout_s:g} s")
                number, state, value = self._connection.recv()
                if number == self._number or state == "died":  # skip late answers to calls that were given up
                    break
        except (EOFError, ConnectionResetError):
            self._end()
            raise self._death(self._process.returncode, cpu_s) from None
        except BaseException:
            # after an interrupted wait, the answer would look like that of the next call
            self._end()
            raise
        if state == "died":
            raise self._death(value, cpu_s)
        if state == "user_error":
            raise UserError(*value)
        if state == "error":
            raise WorkerError(value)
        return value

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _death(self, status: int, cpu_s: float | None) -> WorkerError:
        if status == -signal.SIGPROF and cpu_s is not None:
            return WorkerTimeout(f"no answer within {cpu_s:g} s of CPU time")
        return WorkerDied(f"the worker's process ended with status {status}")


class SharedWorker:
    """One worker for all calls of this process, started at the first one. Safe to use from threads and after a fork."""

    def __init__(self, target: str, *, memory_bytes: int = 0, respawn: bool = False):
        self._target, self._memory_bytes, self._respawn = target, memory_bytes, respawn
        self._lock = threading.Lock()
        self._workers: dict[int, Worker] = {}
        """The worker of this process, by process id: a fork must not share its parent's."""

    def call(self, argument: Any, timeout_s: float | None = None, cpu_s: float | None = None) -> Any:
        """As `Worker.call`, one call at a time. A worker that was killed is replaced at the next call."""
        with self._lock:
            worker = self._workers.get(os.getpid())
            if worker is None or not worker.alive:
                worker = Worker(self._target, memory_bytes=self._memory_bytes, respawn=self._respawn)
                self._workers[os.getpid()] = worker
                atexit.register(worker.close)
            return worker.call(argument, timeout_s=timeout_s, cpu_s=cpu_s)


def _supervise(connection: Connection, function: Callable[[Any], Any], parent: int) -> None:
    """Run the calls in a fork of this process, replaced by a new one when it dies; exits with the parent."""
    while True:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _exit_with_parent(os.getppid())
            _answer(connection, function)
            os._exit(0)
        os.close(writer)
        # the pipe's other end closes when the child ends, for whatever reason
        while not select.select([reader], [], [], _WATCH_S)[0]:
            if os.getppid() != parent:
                os.kill(child, signal.SIGKILL)
                os._exit(1)
        os.close(reader)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            return
        connection.send((None, "died", status))


def _answer(connection: Connection, function: Callable[[Any], Any]) -> None:
    while True:
        try:
            number, argument, timeout_s, cpu_s = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        if timeout_s is not None or cpu_s is not None:
            _limit_cpu(timeout_s or cpu_s)
        # there is no handler for its signal, so the system kills the process when the timer expires
        signal.setitimer(signal.ITIMER_PROF, cpu_s or 0)
        try:
            reply = (number, "done", function(argument))
        except UserError as error:
            reply = (number, "user_error", error.diagnostics)
        except Exception:
            reply = (number, "error", traceback.format_exc())
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send(reply)


def _limit_memory(memory_bytes: int) -> None:
    import resource

    with contextlib.suppress(ValueError, OSError):  # macOS has the limit but refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _limit_cpu(timeout_s: float) -> None:
    """Let the system kill a call that continues after its parent is gone, even during one long C operation."""
    import resource

    soft = math.ceil(time.process_time() + timeout_s) + _CPU_GRACE_S
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _exit_with_parent(parent: int) -> None:
    """Exit this process when its parent is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _main(handle: str, parent: str, target: str, memory_bytes: str, respawn: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stack_dumps.listen(f"worker {target}")
    if int(memory_bytes):
        _limit_memory(int(memory_bytes))
    connection = Connection(int(handle))
    if not int(respawn):
        _exit_with_parent(int(parent))
    gc.disable()  # an import makes thousands of objects and hardly any garbage
    function = import_target(target)
    gc.freeze()
    gc.enable()
    connection.send((0, "ready", None))
    if int(respawn):
        _supervise(connection, function, int(parent))
    else:
        _answer(connection, function)


if __name__ == "__main__":
    _main(*sys.argv[1:])
