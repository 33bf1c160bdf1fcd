"""The entry point of a stage process: `python -m astro_factory.runtime.worker JOBS_FD EVENTS_FD`.

Jobs come as JSON lines and are run one after another; before each comes the event `taken`, and after it one that says
how it ended: `done`, `mistakes` or `failed`. The builder alone holds the other end of the pipe of jobs, so that its
end, even by kill -9, ends this process and all it started. SIGTERM raises SystemExit in the stage, which may save what
it has.
"""

import faulthandler
import json
import os
import resource
import signal
import sys
import threading
import traceback
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NoReturn

from astro_factory.core import stack_dumps
from astro_factory.core.errors import UserError
from astro_factory.runtime.events import EventHandler, line_sender
from astro_factory.runtime.stage_job import Job, occupied

_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of getrusage's figure of memory, in bytes."""


def main(jobs_fd: int, events_fd: int) -> None:
    """Run jobs until the empty one, or until one does not end well: nobody knows what that one left behind."""
    for handle in (jobs_fd, events_fd):
        os.set_inheritable(handle, False)
    faulthandler.enable()  # a crash in C leaves its Python stack in the log
    stack_dumps.listen("stage")
    signal.signal(signal.SIGTERM, _tell)
    jobs: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    threading.Thread(target=_receive, args=(jobs_fd, jobs), daemon=True).start()
    with os.fdopen(events_fd, "w", encoding="utf-8") as stream:
        send = line_sender(stream)
        ended = {"event": "done"}
        while ended["event"] == "done" and (job := jobs.get()):
            send({"event": "taken"})
            ended = _outcome(Job(**job), send)
            send(ended)


def _receive(jobs_fd: int, jobs: SimpleQueue) -> None:
    """Read jobs until the builder is gone, then end this process and all it started (it leads its own group)."""
    with os.fdopen(jobs_fd, encoding="utf-8") as lines:
        for line in lines:
            jobs.put(json.loads(line))
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _outcome(job: Job, send: EventHandler) -> dict[str, Any]:
    """Run a job with its log as standard output; the event that says how it ended."""
    log = os.open(job.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    os.close(log)
    try:
        with occupied(Path(job.scratch).parent):
            job.run(send)
    except UserError as error:
        return {"event": "mistakes", "diagnostics": [asdict(diagnostic) for diagnostic in error.diagnostics]}
    except BaseException as error:  # whatever a stage raises, sys.exit() too, is the end of that stage alone
        traceback.print_exc()
        return {"event": "failed", "cause": f"{type(error).__name__}: {error}"}
    return {"event": "done", "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT}


def _tell(*_: object) -> NoReturn:
    raise SystemExit("the stage was told to stop")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
