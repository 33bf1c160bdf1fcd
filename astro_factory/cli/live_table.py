"""The live table of a build: a row for each running stage and, in a small build, for waiting and finished ones.

It is redrawn a few times a second, independently of events. After a change of the terminal's size the screen is
cleared and drawn again: terminals differ in how they wrap old lines, so that no other way removes all of them.
"""

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from rich.control import Control
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from astro_factory.cli.event_text import MANY, amount_of, clock, ended, figures_of, states_of, worth_showing
from astro_factory.cli.live_layout import layout, shorten
from astro_factory.cli.rows import visible
from astro_factory.runtime.events import BuildEvent, Watcher
from astro_factory.runtime.progress import RUNS, WAITS, BuildProgress, StageProgress

if TYPE_CHECKING:
    from rich.console import Console

_LINES_KEPT = 100
"""Lines above the table that are printed again after a change of the terminal's size."""
_RIGHT = ("amount", "elapsed", "left")
_TITLES = {"elapsed": "elapsed", "left": "left"}
_UNKNOWN = "unknown"


class Screen(Live):
    """Rich's live display, which draws everything again when the terminal's size changes."""

    def __init__(self, console: "Console", draw: Any):
        self._size = console.size
        self._lines: deque[Text] = deque(maxlen=_LINES_KEPT)
        super().__init__(console=console, get_renderable=draw)

    def refresh(self) -> None:
        size = self.console.size
        if size != self._size:
            self._size = size
            self.console.control(Control.clear(), Control.home())
            for line in list(self._lines)[-size.height :]:
                self.console.print(line)
        super().refresh()

    def print_line(self, line: Text) -> None:
        """Print a line above the table."""
        self._lines.append(line)
        self.console.print(line)


class LiveTable:
    """The table as a watcher of a build."""

    def __init__(self, progress: BuildProgress, console: "Console"):
        self._progress = progress
        self._screen = Screen(console, lambda: table(progress, *console.size, time.time()))

    def __enter__(self) -> Watcher:
        self._screen.start()
        return self._watch

    def __exit__(self, *_: object) -> None:
        self._screen.stop()

    def _watch(self, name: str, event: BuildEvent) -> None:
        self._progress.take(name, event, time.time())
        if line := line_above(self._progress, name, event):
            self._screen.print_line(Text(visible(f"{name:<14} {line}")))


def line_above(progress: BuildProgress, name: str, event: BuildEvent) -> str:
    """What an event adds above the table: a stage's own message or, where ended stages have no row, an end."""
    if name not in progress.stages:
        return ""
    if event["event"] == "log":
        return event["text"]
    if event["event"] == "end" and len(progress.stages) > MANY and worth_showing(event):
        return ended(event)
    return ""


def table(progress: BuildProgress, width: int, height: int, now: float) -> Table:
    """The table for a size of the terminal: the whole build, running stages, then the others while there is room."""
    everything, count = progress.stages, len(progress.stages)
    running = [(name, stage) for name, stage in everything.items() if stage.runs]
    others = [] if count > MANY else [(name, stage) for name, stage in everything.items() if not stage.runs]
    room = max(1, height - 4)
    rows = [*running, *others][:room]
    widths = layout(width, max((len(name) for name, _ in rows), default=0))
    grid = Table.grid(padding=(0, 1))
    for column, width in widths.items():
        side = "right" if column in _RIGHT else "left"
        grid.add_column(width=width, justify=side, no_wrap=True, overflow="ellipsis")

    def add(cells: dict[str, str], total: float | None, done: float, pulse: bool) -> None:
        bar = ProgressBar(total=total, completed=done, width=widths.get("bar"), pulse=pulse)
        grid.add_row(*(bar if column == "bar" else Text(cells[column]) for column in widths))

    grid.add_row(*(Text(_TITLES.get(column, ""), style="dim") for column in widths))
    add(_total_cells(progress, now), count, progress.done, False)
    for name, stage in rows:
        ended_row = stage.state not in (WAITS, RUNS)
        total, done = (1.0, 1.0) if ended_row else (stage.total, stage.done)
        add(_cells(name, stage, now, widths["name"]), total, done, stage.runs and total is None)
    if hidden := len(running) + len(others) - len(rows):
        grid.add_row(Text(shorten(f"{hidden} more", widths["name"])))
    return grid


def _total_cells(progress: BuildProgress, now: float) -> dict[str, str]:
    left = progress.remaining(now)
    return {
        "name": "all stages",
        "amount": f"{progress.done:,}/{len(progress.stages):,}",
        "figures": states_of(progress),
        "elapsed": clock(now - progress.started),
        "left": _UNKNOWN if left is None else clock(left),
    }


def _cells(name: str, stage: StageProgress, now: float, width: int) -> dict[str, str]:
    seconds, left = stage.seconds(now), stage.remaining(now)
    phase = stage.phase if stage.runs else ""
    if not stage.runs:
        amount = stage.state
    elif stage.total is None:
        amount, phase = phase or "starting", ""
    else:
        amount = amount_of(stage.done, stage.total, stage.unit)
    figures = "  ".join(part for part in (phase, figures_of(stage.figures)) if part and stage.runs)
    return {
        "name": shorten(name, width),
        "amount": visible(amount),
        "figures": visible(figures),
        "elapsed": "" if seconds is None else clock(seconds),
        "left": "" if left is None or stage.state not in (WAITS, RUNS) else clock(left),
    }
