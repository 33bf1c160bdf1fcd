"""The journal of a running build: what it will do and its events, as lines of JSON that other processes can follow.

A build writes `builds/<id>.jsonl` in the store while it holds the lock with the same id (`store.store_locks`), and
removes it at its end. The lock tells a running build from one that was killed. The first line is the plan, the last one
how the build ended; after a cache failed, a build plans again and writes a second plan.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO, TypedDict

from astro_factory.runtime.events import BuildEvent
from astro_factory.runtime.spending import SpendLimitReached
from astro_factory.store import Store
from astro_factory.store.store_locks import build_is_running

_PROGRESS_EVERY_S, _PROGRESS_EVERY_SHARE = 1.0, 0.01
"""Progress is written after this time, and after this share of the work: a day of training reports 400,000 times."""


class PlannedStage(TypedDict):
    """A stage that a build has to do."""

    name: str
    kind: str
    needs: list[str]
    """Those of its inputs that the build has to make, too."""
    seconds: float | None
    """The estimated time, as a clock shows it."""
    processors: float
    """How many processors it keeps busy."""
    processor: str
    """`cores` or `GPUs`."""


class PlannedBuild(TypedDict):
    """What a build has to do; hits are left out."""

    spec: str
    path: str
    """The spec's file."""
    pid: int
    capacity: dict[str, float]
    """How many cores and GPUs the build may use."""
    stages: list[PlannedStage]


Ending = Literal["finished", "failed", "interrupted", "killed"]
"""How a build ended; a killed one writes no ending."""


def event_line(name: str, event: Mapping[str, Any]) -> str:
    """An event of a stage as a line of JSON with its time."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "stage": name, **event}
    return json.dumps(line, ensure_ascii=False) + "\n"


class Journal:
    """Writes the journal of this process's build. A disk that is full ends the journal, not the build."""

    def __init__(self, file: TextIO | None):
        self._file = file
        self._last_progress: dict[str, tuple[float, float]] = {}
        """Time and share of the work of the last progress that was written, by stage."""
        self._ending: Ending = "finished"

    def plan(self, planned: PlannedBuild) -> None:
        self._ending = "finished"
        self._write(event_line("", {"event": "plan", **planned}))

    def __call__(self, name: str, event: BuildEvent) -> None:
        """Write an event; of the progress only what moves the table."""
        if event["event"] == "spent":
            return
        if event["event"] == "progress":
            now, share = time.monotonic(), event["done"] / max(1, event["total"])
            at, before = self._last_progress.get(name, (0.0, -1.0))
            if share < 1 and abs(share - before) < _PROGRESS_EVERY_SHARE and now - at < _PROGRESS_EVERY_S:
                return
            self._last_progress[name] = (now, share)
        if event["event"] == "end" and event["outcome"] == "failed":
            self._ending = "failed"
        self._write(event_line(name, event))

    def end(self, ending: Ending | None = None) -> None:
        """Write how the build ended; by default whether a stage failed."""
        self._write(event_line("", {"event": "ended", "outcome": ending or self._ending}))

    def _write(self, line: str) -> None:
        if self._file:
            try:
                self._file.write(line)
                self._file.flush()
            except OSError:
                self._file = None


@contextmanager
def open_journal(store: Store, build: str) -> Iterator[Journal]:
    """The journal of a running build, for the duration of the block; removes those of killed builds.

    Without a `build`, in a store that can only be read, nothing is written.
    """
    path = journal_path(store, build)
    file = None
    if build:
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            for other in path.parent.glob("*.jsonl"):
                if not build_is_running(store.root / "locks", other.stem):
                    other.unlink(missing_ok=True)
            file = path.open("x", encoding="utf-8")
    journal = Journal(file)
    try:
        yield journal
        journal.end()
    except BaseException as error:
        journal.end("interrupted" if isinstance(error, KeyboardInterrupt | SpendLimitReached) else "failed")
        raise
    finally:
        if file:
            with suppress(OSError):
                path.unlink(missing_ok=True)
                file.close()


def journal_path(store: Store, build: str) -> Path:
    return store.root / "builds" / f"{build}.jsonl"


class JournalReader:
    """Reads a journal while it is written. It keeps the file open, so a journal that is removed can be read to its
    end."""

    def __init__(self, path: Path, locks: Path, file: BinaryIO | None = None):
        """`file` is the journal if it is open already. Raises FileNotFoundError if the build has ended."""
        self._file, self._locks, self._build = file or path.open("rb"), locks, path.stem
        self._rest = b""
        self.ending: Ending | None = None

    def read(self) -> list[dict[str, Any]]:
        """The lines since the last call. Sets `ending` once the build has ended."""
        running = build_is_running(self._locks, self._build)  # first: what it writes before its end is read below
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        found = [json.loads(line) for line in lines]
        for line in found:
            if line["event"] == "ended":
                self.ending = line["outcome"]
        if not running and self.ending is None:
            self.ending = "killed"
        return found

    def close(self) -> None:
        self._file.close()


def find_builds(store: Store, spec: Path) -> dict[str, JournalReader]:
    """The builds of a spec that run in a store, and those that were killed since the last build began, oldest first."""
    found, wanted = [], os.path.realpath(spec)
    for path in (store.root / "builds").glob("*.jsonl"):
        with suppress(OSError, ValueError, KeyError):
            with path.open(encoding="utf-8") as file:
                first = json.loads(file.readline())
            if first["path"] == wanted:
                found.append((first["time"], path.stem, JournalReader(path, store.root / "locks")))
    return {build: reader for _, build, reader in sorted(found, key=lambda entry: entry[:2])}
