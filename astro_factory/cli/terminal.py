"""Shows a running build: a live table in a terminal, plain lines elsewhere, nothing with `--json`.

A build with few stages shows each of them. A build with many shows the running stages, failures, slow stages and the
total progress.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astro_factory.cli.live_layout import layout, shorten
from astro_factory.core.plans import Hit, Plan
from astro_factory.runtime.events import BuildEvent, EndEvent, ProgressEvent, Watcher

_PLAIN_EVERY_S = 15.0
_MANY = 20
"""With more stages than this to build, not every stage is shown."""
_LONG_S = 30.0
"""Stages that take at least this long are always shown."""


@contextmanager
def open_view(planned: Plan, *, quiet: bool, log: Path | None = None) -> Iterator[Watcher]:
    """A watcher of the build's events, for the duration of the block; `log` gets each event as a line of JSON."""
    with _screen(planned, quiet) as show:
        if log is None:
            yield show
            return
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:

            def watch(name: str, event: BuildEvent) -> None:
                line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "stage": name, **event}
                print(json.dumps(line, ensure_ascii=False), file=file, flush=True)
                show(name, event)

            yield watch


@contextmanager
def _screen(planned: Plan, quiet: bool) -> Iterator[Watcher]:
    """What the terminal shows of a build."""
    if quiet:
        yield lambda name, event: None
        return
    names = [name for name, item in planned.nodes.items() if not isinstance(item, Hit)]
    totals = Totals(len(names))
    if sys.stdout.isatty() and names:
        from rich.console import Console

        with LiveTable(names, totals, Console()) as watch:
            yield watch
    else:
        yield PlainLines(names, totals)


class Totals:
    """Counts how many stages of a build are running or done, by outcome."""

    def __init__(self, count: int):
        self.count = count
        self.many = count > _MANY
        self._running: set[str] = set()
        self._ended: Counter[str] = Counter()

    def take(self, name: str, event: BuildEvent) -> None:
        if event["event"] == "start":
            self._running.add(name)
        elif event["event"] == "end":
            self._running.discard(name)
            self._ended[event["outcome"]] += 1

    @property
    def done(self) -> int:
        return self._ended.total()

    def __str__(self) -> str:
        parts = [f"{len(self._running)} running", *(f"{count:,} {outcome}" for outcome, count in self._ended.items())]
        return ", ".join(parts)


@dataclass
class _Row:
    """The row of a stage in the table."""

    amount: str = "waits"
    figures: str = ""
    done: float = 0.0
    total: float | None = None
    started: float | None = None
    ended: float | None = None
    first: tuple[float, float] | None = None
    """Time and amount of the first progress event; a resumed stage does not start at 0."""

    def take(self, event: BuildEvent) -> None:
        now = time.monotonic()
        if event["event"] == "start":
            self.amount, self.started = "starting", now
        elif event["event"] == "phase":
            if self.total is None:
                self.amount = event["name"]
            else:
                self.figures = event["name"]
        elif event["event"] == "progress":
            self.done, self.total = event["done"], event["total"]
            self.first = self.first or (now, event["done"])
            self.amount, self.figures = _amount(event), _figures(event)
        elif event["event"] == "end":
            self.amount, self.done, self.total, self.ended = event["outcome"], 1, 1, now

    @property
    def runs(self) -> bool:
        return self.started is not None and self.ended is None

    def times(self) -> tuple[str, str]:
        """The elapsed time and the estimated remaining time."""
        if self.started is None:
            return "", ""
        now = self.ended or time.monotonic()
        left = ""
        if self.first and self.total is not None and self.ended is None and self.done > self.first[1]:
            left = _clock((now - self.first[0]) * (self.total - self.done) / (self.done - self.first[1]))
        return _clock(now - self.started), left


class LiveTable:
    """A table with a row for each running stage and, in a small build, for waiting and finished ones.

    It is redrawn a few times a second, independently of events.
    """

    def __init__(self, names: list[str], totals: Totals, console: Any):
        from rich.live import Live

        self._names, self._totals = set(names), totals
        self._rows = {} if totals.many else {name: _Row() for name in names}
        self._all = _Row(total=totals.count, started=time.monotonic(), first=(time.monotonic(), 0))
        self._console = console
        self._live = Live(console=console, get_renderable=self._table)

    def __enter__(self) -> Watcher:
        self._live.start()
        return self._watch

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _watch(self, name: str, event: BuildEvent) -> None:
        if name not in self._names:
            return
        self._totals.take(name, event)
        if event["event"] == "log":
            self._print(name, event["text"])
        elif event["event"] == "end" and self._totals.many:
            self._rows.pop(name, None)
            if _worth_showing(event):
                self._print(name, ended(event))
        else:
            self._rows.setdefault(name, _Row()).take(event)

    def _print(self, name: str, text: str) -> None:
        self._live.console.print(f"{name:<14} {text}", markup=False, highlight=False)

    def _table(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        rows = sorted(self._rows.items(), key=lambda item: not item[1].runs)  # sorting keeps the order of the others
        self._all.done, self._all.figures = self._totals.done, str(self._totals)
        self._all.amount = f"{self._totals.done:,}/{self._totals.count:,}"
        rows.insert(0, ("all stages", self._all))
        widths = layout(self._console.width, max((len(name) for name, _ in rows), default=0))
        table = Table.grid(padding=(0, 1))
        for column, width in widths.items():
            side = "right" if column in ("amount", "elapsed", "left") else "left"
            table.add_column(width=width, justify=side, no_wrap=True, overflow="ellipsis")
        for name, row in rows:
            elapsed, left = row.times()
            waits = row.total is None and row.started is not None
            cells: dict[str, Text | ProgressBar] = {
                "name": Text(shorten(name, widths["name"])),
                "amount": Text(row.amount),
                "figures": Text(row.figures),
                "elapsed": Text(elapsed),
                "left": Text(left),
            }
            if "bar" in widths:
                cells["bar"] = ProgressBar(total=row.total, completed=row.done, width=widths["bar"], pulse=waits)
            table.add_row(*(cells[column] for column in widths))
        return table


class PlainLines:
    """Prints a line when a stage starts, at intervals, and when it ends; in a large build only some of these."""

    def __init__(self, names: list[str], totals: Totals):
        self._names, self._totals = set(names), totals
        self._last: dict[str, float] = {}
        self._last_total = time.monotonic()

    def __call__(self, name: str, event: BuildEvent) -> None:
        if name in self._names:
            self._totals.take(name, event)
        if text := self._text(name, event):
            print(f"{name:<14} {text}".rstrip(), flush=True)
        if self._totals.many and time.monotonic() - self._last_total >= _PLAIN_EVERY_S:
            self._last_total = time.monotonic()
            print(f"{'all stages':<14} {self._totals.done:,}/{self._totals.count:,} ({self._totals})", flush=True)

    def _text(self, name: str, event: BuildEvent) -> str:
        if event["event"] == "progress":
            now = time.monotonic()
            # in a large build, a stage that has just started is not shown
            if now - self._last.setdefault(name, now if self._totals.many else 0.0) < _PLAIN_EVERY_S:
                return ""
            self._last[name] = now
            return f"{_amount(event)} {_figures(event)}"
        if event["event"] == "start":
            return "" if self._totals.many else f"starts ({event['reason']})"
        if event["event"] == "end":
            silent = event["outcome"] == "hit" or (self._totals.many and not _worth_showing(event))
            return "" if silent else ended(event)
        return event["text"] if event["event"] == "log" else ""


def _worth_showing(event: EndEvent) -> bool:
    """Whether to show the end of a stage in a large build: failures and long runs."""
    return event["outcome"] == "failed" or event["seconds"] >= _LONG_S


def ended(event: EndEvent) -> str:
    """How a stage ended; the summary shows the causes of failures."""
    seconds = f" in {event['seconds']:.1f} s" if event["seconds"] else ""
    reason = f" ({event['reason']})" if event["outcome"] == "skipped" else ""
    return f"{event['outcome']}{seconds}{reason}"


def _clock(seconds: float) -> str:
    """A duration as 0:00:07."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _amount(event: ProgressEvent) -> str:
    return f"{event['done']:,}/{event['total']:,} {event['unit']}".rstrip()


def _figures(event: ProgressEvent) -> str:
    return "  ".join(f"{name} {value:,.4g}" for name, value in event["figures"].items())
