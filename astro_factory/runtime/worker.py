"""The entry point of a stage process: `python -m astro_factory.runtime.worker JOB EVENTS_FD LIFE_FD`."""

import faulthandler
import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from astro_factory.core.errors import UserError
from astro_factory.runtime.events import line_sender
from astro_factory.runtime.jobs import Job

_MISTAKE = 3


def main(job_path: str, events_fd: int, life_fd: int) -> int:
    """Run one job; exit code 0, or 3 for a user's mistake that was reported as an event."""
    threading.Thread(target=_end_with_builder, args=(life_fd,), daemon=True).start()
    os.set_inheritable(events_fd, False)
    os.set_inheritable(life_fd, False)
    faulthandler.enable()  # a crash in C leaves its Python stack in the log
    job = Job(**json.loads(Path(job_path).read_text(encoding="utf-8")))
    with os.fdopen(events_fd, "w", encoding="utf-8") as stream:
        send = line_sender(stream)
        try:
            job.run(send)
        except UserError as error:
            for diagnostic in error.diagnostics:
                send({"event": "mistake", "diagnostic": asdict(diagnostic)})
            return _MISTAKE
    return 0


def _end_with_builder(life_fd: int) -> None:
    """Wait until the builder is gone, then end this process and all it started (it leads its own group)."""
    os.read(life_fd, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
