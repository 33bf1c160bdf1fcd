"""How a running build looks: a live table on a terminal, plain lines elsewhere, nothing with `--json`."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from astro_factory.core.results import Plan, Status

Watch = Callable[[str, dict[str, Any]], None]
_PLAIN_EVERY_S = 15.0


@contextmanager
def open_view(planned: Plan, *, quiet: bool) -> Iterator[Watch]:
    """A watcher of the build's events for as long as the block runs."""
    if quiet:
        yield lambda name, event: None
    elif (
        sys.stdout.isatty()
        and not planned.graph.variants
        and any(item.status is not Status.HIT for item in planned.nodes.values())
    ):
        with _live(planned) as watch:
            yield watch
    else:
        yield _PlainLines()


def _worth_a_table(planned: Plan) -> bool:
    """Whether there is something to do, and not a screen full of a sweep's variants."""
    busy = any(item.status is not Status.HIT for item in planned.nodes.values())
    return busy and not planned.graph.variants


@contextmanager
def _live(planned: Plan) -> Iterator[Watch]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn("{task.fields[stage]:<14}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]:>18}"),
        TextColumn("{task.fields[figures]:<40}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(),
    )
    rows = {
        name: progress.add_task("", start=False, total=None, stage=name, amount="waits", figures="")
        for name, item in planned.nodes.items()
        if item.status is not Status.HIT
    }

    def watch(name: str, event: dict[str, Any]) -> None:
        if name not in rows:
            return
        row = rows[name]
        if event["event"] == "start":
            progress.start_task(row)
            progress.update(row, amount="starts")
        elif event["event"] == "progress":
            progress.update(
                row, completed=event["done"], total=event["total"], amount=_amount(event), figures=_figures(event)
            )
        elif event["event"] == "log":
            progress.console.print(f"{name:<14} {event['text']}", markup=False, highlight=False)
        elif event["event"] == "end":
            progress.update(row, total=1, completed=1, amount=event["outcome"])
            progress.stop_task(row)

    with progress:
        yield watch


class _PlainLines:
    """One line when a stage starts, now and then while it runs, and when it ends; none for a hit."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def __call__(self, name: str, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "progress":
            now = time.monotonic()
            if now - self._last.get(name, now - _PLAIN_EVERY_S) < _PLAIN_EVERY_S:
                return
            self._last[name] = now
            text = f"{_amount(event)} {_figures(event)}"
        elif kind == "start":
            text = f"starts ({event['reason']})"
        elif kind == "end" and event["outcome"] != "hit":
            seconds = f" in {event['seconds']:.1f} s" if event.get("seconds") else ""
            text = f"{event['outcome']}{seconds}"
            if event["outcome"] == "skipped":
                text += f" ({event['reason']})"
        elif kind == "log":
            text = event["text"]
        else:
            return
        print(f"{name:<14} {text}".rstrip(), flush=True)


def _amount(event: dict[str, Any]) -> str:
    return f"{event['done']:,}/{event['total']:,} {event['unit']}".rstrip()


def _figures(event: dict[str, Any]) -> str:
    return "  ".join(f"{name} {value:,.4g}" for name, value in event["figures"].items())
