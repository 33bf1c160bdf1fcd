"""What `watch` shows of builds: tables with training curves and rollouts in a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group
from rich.text import Text

from astro_factory.cli.live_layout import shorten
from astro_factory.cli.live_table import Screen, line_above, table
from astro_factory.cli.rows import visible
from astro_factory.cli.terminal import PlainLines
from astro_factory.report.summaries import SHOWN_MEASURES, sparkline
from astro_factory.runtime.events import BuildEvent
from astro_factory.runtime.progress import BuildProgress, StageProgress
from astro_factory.runtime.watched import WatchedBuild

_CURVES, _ROLLOUTS = 4, 4
"""Measures and responses of a stage."""
_EVERY_S = 15.0
_NAME = 16

News = Mapping[str, list[tuple[str, BuildEvent]]]
"""Of each build, the events since the last call with the names of their stages."""


class TableView:
    """The live tables of all builds, one below the other."""

    def __init__(self, builds: Mapping[str, WatchedBuild]):
        self._console = Console()
        self._screen = Screen(self._console, lambda: self._draw(builds))
        self._started = False

    def show(self, builds: Mapping[str, WatchedBuild], news: News) -> None:
        if builds and not self._started:
            self._started = True
            self._screen.start()
        for name, events in news.items():
            progress = builds[name].progress
            for stage, event in events:
                if progress and (text := line_above(progress, stage, event)):
                    self._screen.print_line(Text(visible(f"{stage:<14} {text}")))

    def close(self) -> None:
        if self._started:
            self._screen.stop()

    def _draw(self, builds: Mapping[str, WatchedBuild]) -> Group:
        width, height = self._console.size
        parts, share = [], height // max(1, len(builds))
        for build in list(builds.values()):
            if build.progress is None:
                continue
            below = [line for stage in learning(build) for line in stage_lines(stage, width)][: max(0, share - 6)]
            if len(builds) > 1:
                started = time.strftime("%H:%M:%S", time.localtime(build.progress.started))
                parts.append(Text(f"process {build.pid}, started {started}", style="bold"))
            room = share - len(below) - (len(builds) > 1)
            parts += [table(build.progress, width, room, build.now()), *below]
        return Group(*parts)


def learning(build: WatchedBuild) -> list[StageProgress]:
    """The running stages with training curves or, if there are none, the last one that had some."""
    stages = [] if build.progress is None else list(build.progress.stages.values())
    known = sorted((s for s in stages if s.curve or s.rollouts), key=lambda stage: stage.started or 0.0)
    return [stage for stage in known if stage.runs] or known[-1:]


def stage_lines(stage: StageProgress, width: int) -> Iterator[Text]:
    """The curves of a stage as lines of bars, and its last responses."""
    name = shorten(stage.planned["name"], _NAME)
    measures = [measure for measure in SHOWN_MEASURES if any(measure in point for point in stage.curve)]
    for measure in measures[:_CURVES]:
        values = [float(point[measure]) for point in stage.curve if isinstance(point.get(measure), int | float)]
        ends = f"{values[0]:.4g} to {values[-1]:.4g}"
        bars = sparkline(values, max(1, min(48, width - _NAME - 16 - len(ends) - 3)))
        yield Text(f"{name:<{_NAME}} {measure:<15} {bars} {ends}"[:width])
    if stage.rollouts:
        yield Text(f"{name:<{_NAME}} responses of step {stage.rollouts['step']}"[:width])
        for rollout in stage.rollouts["rollouts"][:_ROLLOUTS]:
            yield Text(_one_line(rollout, width))


def _one_line(rollout: Mapping[str, Any], width: int) -> str:
    reward = "" if rollout["reward"] is None else f"{rollout['reward']:g}"
    text = visible(" / ".join(str(rollout["text"]).split("\n")))
    line = f"  {rollout['verdict']!s:<10} {reward:>5} {rollout['problem']!s}: {text}"
    return line if len(line) <= width else f"{line[: width - 1]}…"


class PlainView:
    """The lines of `build` without a terminal, and now and then a point of the training curves."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[BuildProgress, PlainLines]] = {}
        self._last: dict[str, float] = {}

    def show(self, builds: Mapping[str, WatchedBuild], news: News) -> None:
        for name, events in news.items():
            progress = builds[name].progress
            if progress is None:
                continue
            if name not in self._lines or self._lines[name][0] is not progress:
                self._lines[name] = (progress, PlainLines(progress))
                print(f"process {builds[name].pid}: {len(progress.stages)} stages to build", flush=True)
            for stage, event in events:
                self._lines[name][1](stage, event)
                self._print_point(stage, event)

    def _print_point(self, stage: str, event: BuildEvent) -> None:
        now = time.monotonic()
        if event["event"] != "metric" or now - self._last.get(stage, -_EVERY_S) < _EVERY_S:
            return
        values = {name: event["values"][name] for name in SHOWN_MEASURES if name in event["values"]}
        if values:
            self._last[stage] = now
            shown = "  ".join(f"{name} {value:.4g}" for name, value in list(values.items())[:_CURVES])
            print(f"{stage:<14} step {event['step']}: {shown}", flush=True)

    def close(self) -> None:
        pass
