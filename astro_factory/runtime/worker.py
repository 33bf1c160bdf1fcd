"""The entry point of a stage process: `python -m astro_factory.runtime.worker JOBS_FD EVENTS_FD`.

Jobs arrive as JSON lines and run one after another. The process sends `accepted` before each job and `done`,
`user_error` or `failed` after it. Only the builder holds the other end of the pipe of jobs, so that its death, even by
kill -9, ends this process and everything it started. SIGTERM raises SystemExit in the stage, which may save its state.
"""

import faulthandler
import json
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NoReturn

from astro_factory.core import stack_dumps
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.packages import missing_import
from astro_factory.runtime.events import JobEnd, ProcessMessage, line_sender
from astro_factory.runtime.stage_job import Job, staging_lock

_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
"""The unit of getrusage's `ru_maxrss`."""

_Jobs = SimpleQueue[dict[str, Any] | None]


def main(jobs_fd: int, events_fd: int) -> None:
    """Run jobs until the empty one, or until one does not end well and so may leave the process in a bad state."""
    for handle in (jobs_fd, events_fd):
        os.set_inheritable(handle, False)
    faulthandler.enable()  # a crash in C leaves its Python stack in the log
    stack_dumps.listen("stage")
    signal.signal(signal.SIGTERM, _on_sigterm)
    jobs: _Jobs = SimpleQueue()
    threading.Thread(target=_receive_jobs, args=(jobs_fd, jobs), daemon=True).start()
    with os.fdopen(events_fd, "w", encoding="utf-8") as stream:
        send = line_sender(stream)
        while job := jobs.get():
            send({"event": "accepted"})
            end = _run_job(Job(**job), send)
            send(end)
            if end["event"] != "done":
                break


def _receive_jobs(jobs_fd: int, jobs: _Jobs) -> None:
    """Read jobs until the builder is gone, then kill this process and everything in its process group."""
    with os.fdopen(jobs_fd, encoding="utf-8") as lines:
        for line in lines:
            jobs.put(json.loads(line))
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _run_job(job: Job, send: Callable[[ProcessMessage], None]) -> JobEnd:
    """Run a job with standard output and error going to its log."""
    log = os.open(job.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    os.close(log)
    try:
        with staging_lock(Path(job.scratch).parent):
            job.run(send)
    except UserError as error:
        return _user_error(error.diagnostics)
    except BaseException as error:  # whatever a stage raises, even sys.exit(), ends only this stage
        traceback.print_exc()
        if isinstance(error, ModuleNotFoundError) and (diagnostic := missing_import(error)):
            return _user_error([diagnostic])
        return {"event": "failed", "cause": f"{type(error).__name__}: {error}"}
    return {"event": "done", "peak_bytes": _peak_bytes()}


def _user_error(diagnostics: Iterable[Diagnostic]) -> JobEnd:
    return {"event": "user_error", "diagnostics": [asdict(diagnostic) for diagnostic in diagnostics]}


def _peak_bytes() -> int:
    """The peak memory of this process.

    Linux counts it since the program was started. The figure of getrusage begins with the memory of the process that
    started it, and would make every process of a large builder look large.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES


def _on_sigterm(*_: object) -> NoReturn:
    raise SystemExit("the stage was asked to stop")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
