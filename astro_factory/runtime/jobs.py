"""One stage run: in this process for light stages, in one of its own for those that load a model.

A stage process gets a job file and two pipes: events come up one; the other is held open by the builder alone, so that
the stage, and all it started, ends when the builder ends, even by kill -9.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic, Place, UserError
from astro_factory.runtime.events import EventSender
from astro_factory.store.items import StoredItems

EventHandler = Callable[[dict[str, Any]], None]

_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a stage run needs, as plain data."""

    name: str
    module: str
    config: dict[str, Any]
    inputs: dict[str, str]
    digests: dict[str, str]
    out: str
    work: str
    items: str
    log: str
    threads: int

    def run(self, send: EventHandler) -> None:
        """Run the stage in this process; what it says to its log is kept in order with what its process prints."""

        def keep(event: dict[str, Any]) -> None:
            if event["event"] == "log":
                append_line(Path(self.log), event["text"])
            send(event)

        module = importlib.import_module(self.module)
        context = StageContext(
            name=self.name,
            inputs={name: Path(path) for name, path in self.inputs.items()},
            digests=self.digests,
            out=Path(self.out),
            work=Path(self.work),
            items=StoredItems(Path(self.items)),
            events=EventSender(keep),
        )
        module.run(context, module.Config.model_validate(self.config))


class StageFailed(Exception):
    """A stage ended without its output; the text says why and shows the last lines of its log."""


class Processes:
    """The running stage processes of a build. Once they were ended, no other starts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen] = set()
        self._ended = False

    def start(self, command: list[str], **options: Any) -> subprocess.Popen:
        """`subprocess.Popen` as the leader of a process group of its own."""
        with self._lock:
            if self._ended:
                raise StageFailed("the build was interrupted")
            process = subprocess.Popen(command, start_new_session=True, **options)
            self._running.add(process)
            return process

    def wait(self, process: subprocess.Popen) -> int:
        """Wait for a process, and end what it started and left behind; returns its exit code."""
        code = process.wait()
        _signal_group(process, signal.SIGKILL)
        with self._lock:
            self._running.discard(process)
        return code

    def end(self) -> None:
        """Ask running stages to end, then make them."""
        with self._lock:
            self._ended = True
            running = list(self._running)
        for process in running:
            _signal_group(process, signal.SIGTERM)
        end = time.monotonic() + _GRACE_S
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
            _signal_group(process, signal.SIGKILL)


def _signal_group(process: subprocess.Popen, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: the latter where only zombies are left
        os.killpg(process.pid, number)


def run_job(job: Job, heavy: bool, on_event: EventHandler, processes: Processes) -> None:
    """Run a job to its end; raises what a light stage raises, `StageFailed` or `UserError` for a heavy one."""
    if heavy:
        _run_process(job, on_event, processes)
    else:
        job.run(on_event)


def _run_process(job: Job, on_event: EventHandler, processes: Processes) -> None:
    job_path = Path(job.work) / "job.json"
    job_path.write_text(json.dumps(asdict(job)), encoding="utf-8")
    events_in, events_out = os.pipe()
    life_in, life_out = os.pipe()
    try:
        process = _start(job, job_path, events_out, life_in, processes)
    except BaseException:
        os.close(events_in)
        os.close(life_out)
        raise
    finally:
        os.close(events_out)
        os.close(life_in)
    mistakes: list[Diagnostic] = []
    reader = threading.Thread(target=_read_events, args=(events_in, on_event, mistakes), daemon=True)
    reader.start()
    try:
        code = processes.wait(process)
    finally:
        os.close(life_out)
    reader.join()
    if mistakes:
        raise UserError(*mistakes)
    if code:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        raise StageFailed(f"its process {how}\n{log_tail(Path(job.log))}".rstrip())


def _start(job: Job, job_path: Path, events: int, life: int, processes: Processes) -> subprocess.Popen:
    environment = os.environ | {
        "OMP_NUM_THREADS": str(job.threads),
        "MKL_NUM_THREADS": str(job.threads),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(part or os.getcwd() for part in sys.path),
    }
    command = [sys.executable, "-P", "-m", "astro_factory.runtime.worker", str(job_path), str(events), str(life)]
    with open(job.log, "ab") as log:
        return processes.start(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(events, life), env=environment
        )


def _read_events(pipe: int, on_event: EventHandler, mistakes: list[Diagnostic]) -> None:
    """Hand on what a stage process says, until no process holds the pipe."""
    with os.fdopen(pipe, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # torn: the process was killed while it wrote
            if event["event"] == "mistake":
                mistakes.append(_diagnostic(event["diagnostic"]))
            else:
                on_event(event)


def append_line(log: Path, text: str) -> None:
    """Add a text to a stage's log."""
    with log.open("a", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")


def log_tail(path: Path, lines: int = 15) -> str:
    """The last lines of a stage's log, indented."""
    text = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join(f"    {line}" for line in text[-lines:])


def _diagnostic(found: Mapping[str, Any]) -> Diagnostic:
    place = found["place"] and Place(**found["place"])
    return Diagnostic(found["code"], found["cause"], found["remedy"], place, found["excerpt"])
