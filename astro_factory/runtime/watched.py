"""A build of another process, followed by its journal."""

import time
from datetime import datetime
from typing import cast

from astro_factory.runtime.events import BuildEvent
from astro_factory.runtime.journal import Ending, JournalReader, PlannedBuild
from astro_factory.runtime.progress import BuildProgress


class WatchedBuild:
    """The progress of a build that this process reads about."""

    def __init__(self, reader: JournalReader):
        self._reader = reader
        self._last = time.time()
        self.progress: BuildProgress | None = None
        """None until the plan is read."""
        self.pid = 0

    def read(self) -> list[tuple[str, BuildEvent]]:
        """Take the events since the last call, and return them with the names of their stages."""
        found: list[tuple[str, BuildEvent]] = []
        for line in self._reader.read():
            self._last = datetime.fromisoformat(line["time"]).timestamp()
            if line["event"] == "plan":
                self.progress, self.pid = BuildProgress(cast(PlannedBuild, line), self._last), line["pid"]
            elif self.progress and line["stage"]:
                found.append((line["stage"], cast(BuildEvent, line)))
                self.progress.take(*found[-1], self._last)
        return found

    @property
    def ending(self) -> Ending | None:
        """How the build ended; None while it runs."""
        return self._reader.ending

    def now(self) -> float:
        """The time for which to show it: of its last event, once it has ended."""
        return self._last if self.ending else time.time()
