"""One stage run as plain data: what the builder sends to a stage process, and what a stage's log holds."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astro_factory.core.artifacts import TABLE_FILES
from astro_factory.core.context import StageContext
from astro_factory.runtime.events import EventHandler, EventSender
from astro_factory.stages import stage_kind
from astro_factory.store.disk_full import disk_full_as_error
from astro_factory.store.items import ITEMS, StoredItems


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a stage run needs."""

    name: str
    module: str
    config: dict[str, Any]
    inputs: dict[str, str]
    digests: dict[str, str]
    out: str
    scratch: str
    items: str
    log: str
    threads: int

    def run(self, send: EventHandler) -> None:
        """Run the stage in this process; what it says to its log is kept in order with what its process prints."""

        def keep(event: dict[str, Any]) -> None:
            if event["event"] == "log":
                append_line(Path(self.log), event["text"])
            send(event)

        kind = stage_kind(self.module)
        events = EventSender(keep)
        context = StageContext(
            name=self.name,
            inputs={name: Path(path) for name, path in self.inputs.items()},
            digests=self.digests,
            out=Path(self.out),
            scratch=Path(self.scratch),
            items=StoredItems(Path(self.items), Path(self.scratch).parent / ITEMS),
            events=events,
        )
        try:
            with disk_full_as_error(Path(self.items).parent):
                kind.run(context, kind.Config.model_validate(self.config))
        finally:
            events.flush()
        table = context.out / TABLE_FILES.get(kind.OUTPUT, "")
        if table.is_file():
            from pyarrow.parquet import read_metadata

            send({"event": "rows", "count": read_metadata(table).num_rows})


@contextmanager
def occupied(folder: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the folder that a stage runs in for as long as the block runs, after whoever holds it.

    A builder that was killed takes its stage processes along, but not in the same moment: one may still write. The
    system lets go for a process that is gone, and for its forks.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class StageFailed(Exception):
    """A stage ended without its output; the text says why and shows the last lines of its log."""


def append_line(log: Path, text: str) -> None:
    """Add a text to a stage's log."""
    with log.open("a", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")


def with_tail(cause: str, log: Path, lines: int = 15) -> str:
    """A cause of failure, and under it the last lines of the stage's log, indented."""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "\n".join([cause, *(f"    {line}" for line in text[-lines:])])
