"""Stage processes: each runs the jobs that it is given, one at a time, and can be ended at any moment.

A stage that loads a model has a process to itself. Light stages share warm ones, as many as run side by side, so that a
thousand of them cost no thousand process starts; unlike threads of the builder they have a core each, one that hangs
can be ended, and one that crashes takes only itself along.
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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from astro_factory.core import stack_dumps
from astro_factory.core.errors import Diagnostic, Place, UserError
from astro_factory.runtime.events import EventHandler
from astro_factory.runtime.limits import Limits
from astro_factory.runtime.stage_job import Job, StageFailed, append_line, with_tail

SAVING_S = 75.0
"""How long a stage that is told to stop may take to save what it has; training asks its processes for 60 s."""
_LEAVING_S = 30.0
"""How long a process may take to end after its work is done."""
_LOOK_S = 1.0
"""How often to look whether a silent process still lives: what it started may hold its pipe."""
_WARM_BYTES = 1 << 30
"""A shared process that grew beyond this is replaced, so that no leak adds up."""


class Vanished(StageFailed):
    """A warm process was gone before it took the next job, which another can run."""


class StageProcess:
    """A process that runs jobs, the leader of a process group of its own."""

    def __init__(self, log: Path, threads: int):
        """Start it; what goes wrong before its first job is told in `log`."""
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
                    env=_environment(threads) | {stack_dumps.FOLDER: self._stacks.name},
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

    def run(self, job: Job, limits: Limits, on_event: EventHandler) -> int:
        """Run a job to its end; returns the most bytes of memory the process has ever taken.

        Raises:
            UserError: what the stage raised.
            Vanished: the process had ended while it had nothing to do.
            StageFailed: all else that went wrong, with the last lines of the log. The process is of no use any more.
        """
        log, taken = Path(job.log), False
        with contextlib.suppress(BrokenPipeError):  # it is gone, as its pipe of events will tell
            self._send(asdict(job))
        for event in self._said(limits.left_s):
            if event is None:
                if silent := limits.silent():
                    raise StageFailed(_with_stacks(with_tail(silent, log), Path(self._stacks.name), log))
            elif event["event"] == "taken":
                taken = True
            elif event["event"] == "done":
                self._warm = True
                return event["peak_bytes"]
            elif event["event"] == "mistakes":
                raise UserError(*map(_diagnostic, event["diagnostics"]))
            elif event["event"] == "failed":
                raise StageFailed(with_tail(event["cause"], log))
            else:
                limits.heard(event)
                on_event(event)
            if reached := limits.reached():
                self.stop(limits)
                raise StageFailed(reached)
        code = self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        raise (Vanished if self._warm and not taken else StageFailed)(with_tail(f"its process {how}", log))

    def _send(self, job: Mapping[str, Any] | None) -> None:
        self._jobs.write(json.dumps(job) + "\n")
        self._jobs.flush()

    def _said(self, patience_s: Callable[[], float]) -> Iterator[dict[str, Any] | None]:
        """What the process says until it has ended; None where it says nothing for so long, or for a while."""
        poll = select.poll()
        poll.register(self._events, select.POLLIN)
        while True:
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                yield json.loads(line)
            if not poll.poll(1000 * max(0.0, min(patience_s(), _LOOK_S))):
                if not self.lives():
                    return
                yield None
            elif data := self._events.read(1 << 16):
                self._rest += data
            else:
                return

    def tell(self) -> None:
        """Tell the stage to save what it has and end. What it started is its own to end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def stop(self, limits: Limits) -> None:
        """Tell the stage to end and give it time to save; take in what it still says."""
        self.tell()
        end = time.monotonic() + SAVING_S
        for event in self._said(lambda: end - time.monotonic()):
            if event and event["event"] == "spent":
                limits.heard(event)
            if time.monotonic() > end or (event and event["event"] in ("done", "mistakes", "failed")):
                return

    def leave(self) -> None:
        """Let the process end by itself after its last job, as far as it does."""
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._send(None)
            self._process.wait(_LEAVING_S)

    def lives(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        """Wait for the process to end, so long at most."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, seconds))

    def kill(self) -> None:
        """End the process and all it started, now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: the latter where only zombies are left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Give up its pipes, when nobody reads them any more."""
        with contextlib.suppress(BrokenPipeError):
            self._jobs.close()
        self._events.close()
        self._stacks.cleanup()


class Processes:
    """The stage processes of a build. Once they were ended, no other starts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._warm: list[StageProcess] = []
        self._running: set[StageProcess] = set()
        self._ended = False

    def run(self, job: Job, heavy: bool, limits: Limits, on_event: EventHandler) -> None:
        """`StageProcess.run` in a process of its own, or in one that light stages share."""
        while True:
            with contextlib.suppress(Vanished):  # something ended it: no failure of this stage
                return self._run(job, heavy, limits, on_event)

    def _run(self, job: Job, heavy: bool, limits: Limits, on_event: EventHandler) -> None:
        if reached := limits.reached():
            raise StageFailed(reached)
        process, warm = self._take(job, heavy), False
        try:
            peak_bytes = process.run(job, limits, on_event)
            warm = not heavy and peak_bytes <= _WARM_BYTES
            if not warm:
                process.leave()
        finally:
            self._put_back(process, warm)

    def _take(self, job: Job, heavy: bool) -> StageProcess:
        with self._lock:
            if self._ended:
                raise StageFailed("the build was interrupted")
            process = self._warm.pop() if self._warm and not heavy else StageProcess(Path(job.log), job.threads)
            self._running.add(process)
            return process

    def _put_back(self, process: StageProcess, warm: bool) -> None:
        """Keep a process for the next light stage, or end it and what it left behind."""
        with self._lock:
            self._running.discard(process)
            if warm and not self._ended:
                self._warm.append(process)
                return
        process.kill()
        process.close()

    def end(self) -> None:
        """Tell running stages to end, give them time to save, then make them; another interrupt shortens that."""
        with self._lock:
            self._ended = True
            running, warm, self._warm = list(self._running), self._warm, []
        try:
            for process in running:
                process.tell()
            end = time.monotonic() + SAVING_S
            for process in running:
                process.wait(end - time.monotonic())
        finally:
            for process in running:  # whoever reads its pipes closes them
                process.kill()
            for process in warm:
                process.kill()
                process.close()


def _environment(threads: int) -> dict[str, str]:
    return os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(part or os.getcwd() for part in sys.path),
    }


def _with_stacks(cause: str, folder: Path, log: Path) -> str:
    """A cause with where each process of the stage stands; the stacks of all their threads go to the log."""
    found = stack_dumps.collect(folder)
    append_line(log, "\n".join(f"{name}:\n{text}" for name, text in found.items()))
    parts = (f"{name}:\n{stack_dumps.main_thread(text)}" for name, text in found.items())
    return "\n".join([cause, *parts])


def _diagnostic(found: Mapping[str, Any]) -> Diagnostic:
    place = found["place"] and Place(**found["place"])
    return Diagnostic(found["code"], found["cause"], found["remedy"], place, found["excerpt"])
