"""The process that passes the journal of a build on to an experiment tracker. `runtime.tracking` starts it.

It reads the journal as `watch` does and the build does not read it, so whatever a tracker does, it cannot change a
build: not by raising, not by hanging, not by ending the process. A call that takes too long ends the process.

Its job arrives on stdin, the open journal as the file descriptor named by the argument.
"""

import faulthandler
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from astro_factory.core.tracking import TrackConfig, Tracker
from astro_factory.runtime.journal import JournalReader
from astro_factory.runtime.outcomes import Outcome
from astro_factory.runtime.trackers import Run, RunName, open_run

_EVERY_S = 1.0
_NICENESS = 5
"""Stages come first."""


@dataclass(frozen=True)
class TrackingJob:
    """What the process needs to know."""

    track: dict[str, Any]
    """The fields of a `Tracker`."""
    project: str
    journal: str
    """The path of the journal, whose name is the id of the build."""
    locks: str
    """The folder of the store's locks."""
    settings: dict[str, dict[str, Any]]
    """The settings of each stage."""


def main(journal: int) -> int:
    """Follow a journal to its end; returns the exit code, 1 if the tracker failed."""
    os.nice(_NICENESS)
    job = TrackingJob(**json.load(sys.stdin))
    track: Tracker = TypeAdapter(TrackConfig).validate_python(job.track)
    path = Path(job.journal)
    reader = JournalReader(path, Path(job.locks), os.fdopen(journal, "rb"))
    tracking = _Tracking(track, job)
    while True:
        for line in reader.read():
            tracking.take(line)
        if reader.ending:
            break
        tracking.flush()
        time.sleep(_EVERY_S)
    tracking.close()
    # trackers wait at the exit of the process, too
    faulthandler.dump_traceback_later(track.timeout_s, exit=True)
    return tracking.failed


class _Tracking:
    """The runs of a build: one for each stage that reports measures."""

    def __init__(self, track: Tracker, job: TrackingJob):
        self._track, self._job = track, job
        self._build = ""
        self._runs: dict[str, Run | None] = {}
        """Of stages that report measures; None if the run ended or could not be started."""
        self.failed = False

    def take(self, line: Mapping[str, Any]) -> None:
        """Pass on a line of the journal."""
        stage, event = line["stage"], line["event"]
        at = datetime.fromisoformat(line["time"])
        if event == "plan" and not self._build:
            self._build = f"{at:%Y%m%d-%H%M%S}-{Path(self._job.journal).stem[:4]}"
        elif event == "metric" and "rollouts" in line["values"]:
            if run := self._run(stage):
                with self._guarded():
                    run.show(line["step"], line["values"]["rollouts"], at.timestamp())
        elif event in ("metric", "progress"):
            step, values = (line["step"], line["values"]) if event == "metric" else (line["done"], line["figures"])
            numbers = {name: value for name, value in values.items() if _is_number(value)}
            if numbers and (run := self._run(stage)):
                with self._guarded():
                    run.log(step, numbers, at.timestamp())
        elif event == "end":
            self._finish(stage, well=line["outcome"] == Outcome.RAN)

    def _run(self, stage: str) -> Run | None:
        """The run of a stage, which its first measure starts."""
        if stage not in self._runs:
            self._runs[stage] = None
            name = RunName(self._job.project, self._build, stage)
            with self._guarded():
                self._runs[stage] = open_run(self._track, name, self._job.settings.get(stage, {}))
        return self._runs[stage]

    def _finish(self, stage: str, well: bool) -> None:
        if run := self._runs.get(stage):
            self._runs[stage] = None
            with self._guarded():
                run.flush()
            with self._guarded():
                run.finish(well)

    def flush(self) -> None:
        for run in self._runs.values():
            if run:
                with self._guarded():
                    run.flush()

    def close(self) -> None:
        """End the runs of stages that a build left unfinished."""
        for stage in self._runs:
            self._finish(stage, well=False)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Log what a call of the tracker raises, and go on; end the process if it takes too long."""
        faulthandler.dump_traceback_later(self._track.timeout_s, exit=True)
        try:
            yield
        except (Exception, SystemExit):
            self.failed = True
            traceback.print_exc()
        finally:
            faulthandler.cancel_dump_traceback_later()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
