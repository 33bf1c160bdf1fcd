"""Shows a running build: a live table in a terminal, plain lines elsewhere, nothing with `--json`.

A build with few stages shows each of them. A build with many shows the running stages, failures, slow stages and the
total progress.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astro_factory.cli.event_text import MANY, amount_of, ended, figures_of, states_of, worth_showing
from astro_factory.runtime.events import BuildEvent, Watcher
from astro_factory.runtime.journal import PlannedBuild, event_line
from astro_factory.runtime.progress import BuildProgress

_PLAIN_EVERY_S = 15.0


@contextmanager
def open_view(planned: PlannedBuild, *, quiet: bool, log: Path | None = None) -> Iterator[Watcher]:
    """A watcher of the build's events, for the duration of the block; `log` gets each event as a line of JSON."""
    with _screen(planned, quiet) as show:
        if log is None:
            yield show
            return
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:

            def watch(name: str, event: BuildEvent) -> None:
                file.write(event_line(name, event))
                file.flush()
                show(name, event)

            yield watch


@contextmanager
def _screen(planned: PlannedBuild, quiet: bool) -> Iterator[Watcher]:
    """What the terminal shows of a build."""
    progress = BuildProgress(planned, time.time())
    if quiet:
        yield lambda name, event: None
    elif sys.stdout.isatty() and progress.stages:
        from rich.console import Console

        from astro_factory.cli.live_table import LiveTable

        with LiveTable(progress, Console()) as watch:
            yield watch
    else:
        yield PlainLines(progress)


class PlainLines:
    """Prints a line when a stage starts, at intervals, and when it ends; in a large build only some of these."""

    def __init__(self, progress: BuildProgress):
        self._progress, self._many = progress, len(progress.stages) > MANY
        self._last: dict[str, float] = {}
        self._last_total = time.monotonic()

    def __call__(self, name: str, event: BuildEvent) -> None:
        self._progress.take(name, event, time.time())
        if text := self._text(name, event):
            print(f"{name:<14} {text}".rstrip(), flush=True)
        if self._many and time.monotonic() - self._last_total >= _PLAIN_EVERY_S:
            self._last_total = time.monotonic()
            amount = f"{self._progress.done:,}/{len(self._progress.stages):,}"
            print(f"{'all stages':<14} {amount} ({states_of(self._progress)})", flush=True)

    def _text(self, name: str, event: BuildEvent) -> str:
        if event["event"] == "progress":
            now = time.monotonic()
            # in a large build, a stage that has just started is not shown
            if now - self._last.setdefault(name, now if self._many else 0.0) < _PLAIN_EVERY_S:
                return ""
            self._last[name] = now
            return f"{amount_of(event['done'], event['total'], event['unit'])} {figures_of(event['figures'])}"
        if event["event"] == "start":
            return "" if self._many else f"starts ({event['reason']})"
        if event["event"] == "end":
            silent = event["outcome"] == "hit" or (self._many and not worth_showing(event))
            return "" if silent else ended(event)
        return event["text"] if event["event"] == "log" else ""
