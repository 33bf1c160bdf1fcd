"""Stage processes: each runs the jobs it receives, one at a time, and can be killed at any moment.

A stage that loads a model has a process to itself. Light stages share warm processes, as many as run in parallel, so
that a thousand of them do not cost a thousand process starts. Unlike threads of the builder, processes use a core each,
can be killed when they hang, and crash alone.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from astro_factory.core import stack_dumps
from astro_factory.core.devices import visible_to
from astro_factory.core.errors import Diagnostic, Place, UserError
from astro_factory.runtime.events import EventHandler, ProcessMessage
from astro_factory.runtime.limits import Limits
from astro_factory.runtime.outcomes import StageFailed
from astro_factory.runtime.stage_job import Job, append_line, with_tail

_EXIT_S = 30.0
"""How long a process may take to exit after its last job, or after its stage has saved its work."""
_POLL_S = 1.0
"""How often to check whether a silent process is alive: its children may keep the pipe open."""
_WARM_BYTES = 1 << 30
"""A shared process that grew beyond this is replaced, so that leaks do not add up."""


class WarmProcessDied(StageFailed):
    """A warm process died before it accepted the next job, which another process can run."""


class StageProcess:
    """A process that runs jobs; it leads its own process group."""

    def __init__(
        self, log: Path, threads: int, gpus: Sequence[str] | None = None, variables: Mapping[str, str] | None = None
    ):
        """Start the process; what it prints before its first job goes to `log`.

        Args:
            gpus: see `Job`.
            variables: added to the environment.
        """
        self._stacks = tempfile.TemporaryDirectory(prefix="astro-factory-stacks-")
        jobs, jobs_write = os.pipe()
        events, events_write = os.pipe()
        self._jobs, self._events = os.fdopen(jobs_write, "w", encoding="utf-8"), os.fdopen(events, "rb", buffering=0)
        try:
            command = [sys.executable, "-P", "-m", "astro_factory.runtime.worker", str(jobs), str(events_write)]
            with open(log, "ab") as output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(jobs, events_write),
                    env=process_environment(threads, gpus)
                    | {**(variables or {}), stack_dumps.FOLDER: self._stacks.name},
                    start_new_session=True,
                )
        except BaseException:
            self.close()
            raise
        finally:
            os.close(jobs)
            os.close(events_write)
        self._rest = b""
        self._warm = False
        self.grace_s = 0.0
        """How long the current stage may take to save its work."""

    def run(self, job: Job, limits: Limits, on_event: EventHandler) -> int:
        """Run a job to its end; returns the peak memory of the process in bytes.

        Raises:
            UserError: the stage raised it.
            WarmProcessDied: the process died while it was idle.
            StageFailed: everything else that went wrong, with the last lines of the log.
        After any of these the process must not be used again.
        """
        log, accepted, self.grace_s = Path(job.log), False, limits.grace_s
        with contextlib.suppress(BrokenPipeError):  # the process is dead, which the pipe of events will show
            self._send(asdict(job))
        for message in self._receive(limits.seconds_left):
            if message is None:
                if missed := limits.heartbeat_missed():
                    raise StageFailed(_with_stacks(with_tail(missed, log), Path(self._stacks.name), log))
            elif message["event"] == "accepted":
                accepted = True
            elif message["event"] == "done":
                self._warm = True
                return message["peak_bytes"]
            elif message["event"] == "user_error":
                raise UserError(*map(_diagnostic, message["diagnostics"]))
            elif message["event"] == "failed":
                raise StageFailed(with_tail(message["cause"], log))
            else:
                limits.update(message)
                on_event(message)
            if exceeded := limits.exceeded():
                self.stop(limits)
                raise StageFailed(exceeded)
        code = self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        raise (WarmProcessDied if self._warm and not accepted else StageFailed)(with_tail(f"its process {how}", log))

    def _send(self, job: Mapping[str, object] | None) -> None:
        self._jobs.write(json.dumps(job) + "\n")
        self._jobs.flush()

    def _receive(self, timeout_s: Callable[[], float]) -> Iterator[ProcessMessage | None]:
        """The messages of the process until it ends; None when none arrives before the timeout or the next poll."""
        poll = select.poll()
        poll.register(self._events, select.POLLIN)
        while True:
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                yield json.loads(line)
            if not poll.poll(1000 * max(0.0, min(timeout_s(), _POLL_S))):
                if not self.is_alive():
                    return
                yield None
            elif data := self._events.read(1 << 16):
                self._rest += data
            else:
                return

    def terminate(self) -> None:
        """Ask the stage to save its state and exit; it stops its own children."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def stop(self, limits: Limits) -> None:
        """Ask the stage to exit and give it time to save; counts what it spends meanwhile."""
        self.terminate()
        end = time.monotonic() + limits.grace_s + _EXIT_S
        for message in self._receive(lambda: end - time.monotonic()):
            if message and message["event"] == "spent":
                limits.update(message)
            if time.monotonic() > end or (message and message["event"] in ("done", "user_error", "failed")):
                return

    def let_exit(self) -> None:
        """Let the process exit by itself after its last job, if it does so in time."""
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._send(None)
            self._process.wait(_EXIT_S)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        """Wait for the process to end, for at most so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, seconds))

    def kill(self) -> None:
        """Kill the process and everything it started."""
        kill_group(self._process)

    def close(self) -> None:
        """Close the pipes, when no thread reads them any more."""
        with contextlib.suppress(BrokenPipeError):
            self._jobs.close()
        self._events.close()
        self._stacks.cleanup()


class ProcessPool:
    """The stage processes of a build. Once the pool is closed, no process starts."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        """`variables` are added to the environment of every process."""
        self._variables = variables
        self._lock = threading.Lock()
        self._warm: list[StageProcess] = []
        self._running: set[StageProcess] = set()
        self._closed = False

    def run(self, job: Job, heavy: bool, limits: Limits, on_event: EventHandler) -> None:
        """`StageProcess.run` in a new process or, for a light stage, in a shared one."""
        while True:
            with contextlib.suppress(WarmProcessDied):  # the stage did not cause it, so try another process
                return self._run(job, heavy, limits, on_event)

    def _run(self, job: Job, heavy: bool, limits: Limits, on_event: EventHandler) -> None:
        if exceeded := limits.exceeded():
            raise StageFailed(exceeded)
        process, reusable = self._acquire(job, heavy), False
        try:
            peak_bytes = process.run(job, limits, on_event)
            reusable = not heavy and peak_bytes <= _WARM_BYTES
            if not reusable:
                process.let_exit()
        finally:
            self._release(process, reusable)

    def _acquire(self, job: Job, heavy: bool) -> StageProcess:
        with self._lock:
            if self._closed:
                raise StageFailed("the build was interrupted")
            warm = self._warm and not heavy
            process = self._warm.pop() if warm else self._started(job)
            self._running.add(process)
            return process

    def _started(self, job: Job) -> StageProcess:
        return StageProcess(Path(job.log), job.threads, job.gpus, self._variables)

    def _release(self, process: StageProcess, reusable: bool) -> None:
        """Keep a process for the next light stage, or kill it and what it left running."""
        with self._lock:
            self._running.discard(process)
            if reusable and not self._closed:
                self._warm.append(process)
                return
        process.kill()
        process.close()

    def close(self) -> None:
        """Ask running stages to stop, give them time to save, then kill them; another Ctrl-C skips the wait."""
        with self._lock:
            self._closed = True
            running, warm, self._warm = list(self._running), self._warm, []
        try:
            for process in running:
                process.terminate()
            start = time.monotonic()
            for process in running:
                process.wait(start + process.grace_s + _EXIT_S - time.monotonic())
        finally:
            for process in running:  # the thread that reads its pipes closes them
                process.kill()
            for process in warm:
                process.kill()
                process.close()


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process that leads its process group, and everything it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: the latter if only zombies are left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def process_environment(threads: int, gpus: Sequence[str] | None = None) -> dict[str, str]:
    """The environment of a process that the builder starts, which imports what the builder does."""
    devices = {} if gpus is None else visible_to(gpus)
    return (
        os.environ
        | devices
        | {
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONHASHSEED": "0",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(part or os.getcwd() for part in sys.path),
        }
    )


def _with_stacks(cause: str, folder: Path, log: Path) -> str:
    """A cause and the main thread's stack of each process of the stage; the log gets the stacks of all threads."""
    found = stack_dumps.collect(folder)
    append_line(log, "\n".join(f"{name}:\n{text}" for name, text in found.items()))
    parts = (f"{name}:\n{stack_dumps.main_thread(text)}" for name, text in found.items())
    return "\n".join([cause, *parts])


def _diagnostic(found: Mapping[str, Any]) -> Diagnostic:
    place = found["place"] and Place(**found["place"])
    return Diagnostic(found["code"], found["cause"], found["remedy"], place, found["excerpt"])
