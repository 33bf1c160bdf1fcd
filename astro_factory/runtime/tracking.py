"""Tracking of a build: starts the process that follows its journal, and waits for it in bounded time.

The process only reads the journal; whatever happens to it, the build is the same.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import IO, Any

from astro_factory.core.graph import Graph
from astro_factory.core.tracking import Tracker
from astro_factory.runtime.journal import journal_path
from astro_factory.runtime.processes import kill_group, process_environment
from astro_factory.runtime.tracker_process import TrackingJob
from astro_factory.store import Store

_LONGEST_SETTING = 500
"""Longer ones, such as the texts of templates, are left out."""


class Tracking:
    """The tracker of one build."""

    def __init__(self, graph: Graph, store: Store, build: str):
        self._graph, self._store, self._build = graph, store, build
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.fault = ""
        """Why the tracker lacks something of this build; empty if it does not."""

    def start(self) -> None:
        """Start to track, once the journal is open. Does nothing if the spec has no tracker."""
        track = self._graph.track
        if track is None or self._process or self.fault:
            return
        if not track.is_installed:
            self.fault = f"the package '{track.package}' is not installed"
            return
        try:
            self._start(track)
        except OSError as error:
            self.fault = f"its process could not be started: {error}"

    def _start(self, track: Tracker) -> None:
        path = journal_path(self._store, self._build)
        settings = {
            name: dict(_settings(node.config.model_dump(mode="json"))) for name, node in self._graph.nodes.items()
        }
        job = TrackingJob(
            track.model_dump(mode="json"),
            track.project or self._graph.name,
            str(path),
            str(self._store.root / "locks"),
            settings,
        )
        # the journal is opened here: a short build may have removed it before the process can
        with path.open("rb") as journal, tempfile.TemporaryFile() as stdin:
            stdin.write(json.dumps(asdict(job)).encode())
            stdin.seek(0)
            self._log = tempfile.TemporaryFile()  # noqa: SIM115  `end` closes it
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "astro_factory.runtime.tracker_process", str(journal.fileno())],
                stdin=stdin,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(journal.fileno(),),
                env=process_environment(threads=1),
                start_new_session=True,
            )

    def end(self) -> None:
        """Wait until the tracker has what is left of the journal; stop it if that takes too long."""
        process, log, track = self._process, self._log, self._graph.track
        if process is None or log is None or track is None:
            return
        try:
            code = process.wait(track.timeout_s)
            if code < 0:
                self.fault = f"its process was killed by {signal.Signals(-code).name}"
            elif code:
                self.fault = self._last_words(log, track)
        except subprocess.TimeoutExpired:
            self.fault = f"it had not finished {track.timeout_s:g} s (timeout_s) after the build"
        finally:
            kill_group(process)
            log.close()

    def _last_words(self, log: IO[bytes], track: Tracker) -> str:
        """Why the process failed, from what it printed."""
        log.seek(0)
        lines = log.read().decode(errors="replace").split("\n")
        if any(line.startswith("Timeout (") for line in lines):  # `faulthandler` ended it
            return f"a call took longer than {track.timeout_s:g} s (timeout_s)"
        return next((line.strip() for line in reversed(lines) if line.strip()), "its process failed")


@contextmanager
def tracked(graph: Graph, store: Store, build: str) -> Iterator[Tracking]:
    """The tracking of a build, which ends with the block."""
    tracking = Tracking(graph, store, build)
    try:
        yield tracking
    finally:
        with suppress(OSError):
            tracking.end()


def _settings(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | int | float | bool]]:
    """The scalars of a config by dotted path; lists as JSON."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{name}.")
            continue
        value = json.dumps(value) if isinstance(value, list) else value
        if value is not None and len(str(value)) <= _LONGEST_SETTING:
            yield f"{prefix}{name}", value
