"""One stage run as plain data, as the builder sends it to a stage process, and the stage's log."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astro_factory.core.artifacts import TABLE_FILES
from astro_factory.core.context import StageContext
from astro_factory.runtime.events import EventHandler, EventSender, StageEvent
from astro_factory.stages import stage_kind
from astro_factory.store.disk_errors import disk_errors_explained
from astro_factory.store.items import ITEMS, StoredItems


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a stage run needs."""

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
    gpus: tuple[str, ...] | None = None
    """Ids of the GPUs that the process may use; None leaves all visible."""
    probe: int = 0
    """Make only this many of the run's items; 0 for a whole run."""

    def run(self, send: EventHandler) -> None:
        """Run the stage in this process. Its log events are written in order with what the process prints."""

        def log_and_send(event: StageEvent) -> None:
            if event["event"] == "log":
                append_line(Path(self.log), event["text"])
            send(event)

        kind = stage_kind(self.module)
        events = EventSender(log_and_send)
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
            with disk_errors_explained(Path(self.items).parent):
                config = kind.Config.model_validate(self.config)
                if self.probe:
                    kind.probe(context, config, self.probe)
                else:
                    kind.run(context, config)
        finally:
            events.flush()
        table = context.out / TABLE_FILES.get(kind.OUTPUT, "")
        if table.is_file():
            from pyarrow.parquet import read_metadata

            send({"event": "rows", "count": read_metadata(table).num_rows})


@contextmanager
def staging_lock(folder: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Lock the staging folder of a stage; waits, after calling `on_wait`, for a process that holds the lock.

    The stage processes of a killed builder die with it, but not at the same instant: one may still be writing. The
    system releases the lock when the process and all its forks are gone.
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


def append_line(log: Path, text: str) -> None:
    """Append a text to a stage's log."""
    with log.open("a", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")


def with_tail(cause: str, log: Path, lines: int = 15) -> str:
    """The cause of a failure followed by the last lines of the stage's log, indented."""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "\n".join([cause, *(f"    {line}" for line in text[-lines:])])
