"""`watch`: look at a build that runs in another terminal."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from astro_factory.cli.options import JsonOption, SpecArgument, StoreOption, command_line, open_store, print_json
from astro_factory.core.errors import UserError, shown
from astro_factory.report.training import number, thinned
from astro_factory.runtime.journal import find_builds
from astro_factory.runtime.progress import BuildProgress, StageProgress
from astro_factory.runtime.watched import WatchedBuild

if TYPE_CHECKING:
    from astro_factory.cli.watch_views import News, PlainView, TableView

_EVERY_S = 0.5
_POINTS = 400
"""Points of a curve in the JSON."""


def watch(spec: SpecArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Follow the running builds of a spec: the table of the build, training curves, the last rollouts.

    It only reads, and ends when the builds end: with exit code 1 if one of them failed, was interrupted or was killed.
    With --json it prints a line whenever something has changed.
    """
    if not spec.is_file():
        raise UserError.of("E101", f"cannot read '{shown(spec)}': there is no such file", "check the path")
    place = open_store(store)
    builds: dict[str, WatchedBuild] = {}
    view = _Lines(spec) if as_json else _open_view(builds)
    try:
        while True:
            for name, reader in find_builds(place, spec).items():
                if name in builds:
                    reader.close()
                else:
                    builds[name] = WatchedBuild(reader)
            news = {name: build.read() for name, build in builds.items()}
            view.show(builds, news)
            if all(build.ending for build in builds.values()):
                break
            time.sleep(_EVERY_S)
    finally:
        view.close()
    if not as_json:
        _print_endings(spec, place.root, builds)
    if any(build.ending != "finished" for build in builds.values()):
        raise typer.Exit(1)


def _open_view(builds: dict[str, WatchedBuild]) -> "TableView | PlainView":
    from astro_factory.cli.watch_views import PlainView, TableView

    return TableView(builds) if sys.stdout.isatty() else PlainView()


def _print_endings(spec: Path, root: Path, builds: dict[str, WatchedBuild]) -> None:
    if not builds:
        print(f"no build of {spec} is running in {shown(root)}; `{command_line('plan', spec)}` shows what is built")
    for build in builds.values():
        texts = {
            "finished": "the build has finished",
            "failed": f"the build has ended, and a stage failed; `{command_line('plan', spec)}` shows what is left",
            "interrupted": "the build was interrupted; the same command resumes it",
            "killed": "the build was killed; the same command resumes it",
        }
        print(f"{texts[build.ending or 'killed']} (process {build.pid})")


class _Lines:
    """A line of JSON for every change."""

    def __init__(self, spec: Path):
        self._spec, self._last = spec, None

    def show(self, builds: dict[str, WatchedBuild], news: "News") -> None:
        state = [(name, build.ending) for name, build in builds.items()]
        if any(news.values()) or state != self._last:
            self._last = state
            print_json({"spec": str(self._spec), "builds": [_as_json(name, build) for name, build in builds.items()]})
            sys.stdout.flush()

    def close(self) -> None:
        pass


def _as_json(name: str, build: WatchedBuild) -> dict[str, Any]:
    now, progress = build.now(), build.progress
    stages = progress.stages if progress else {}
    return {
        "id": name,
        "pid": build.pid,
        "state": build.ending or "running",
        "seconds": round(now - progress.started, 1) if progress else 0.0,
        "remaining": _remaining(progress, now) if progress and not build.ending else None,
        "stages": [_stage_as_json(stage, now) for stage in stages.values()],
    }


def _remaining(found: BuildProgress | StageProgress, now: float) -> float | None:
    seconds = found.remaining(now)
    return None if seconds is None else round(seconds, 1)


def _stage_as_json(stage: StageProgress, now: float) -> dict[str, Any]:
    seconds = stage.seconds(now)
    points = thinned(stage.curve, _POINTS)
    names = dict.fromkeys(name for point in points for name in point)
    return {
        "name": stage.planned["name"],
        "kind": stage.planned["kind"],
        "state": stage.state,
        "phase": stage.phase if stage.runs else "",
        "done": stage.done,
        "total": stage.total,
        "unit": stage.unit,
        "figures": dict(stage.figures),
        "seconds": None if seconds is None else round(seconds, 1),
        "remaining": _remaining(stage, now),
        "curve": {name: [number(point.get(name)) for point in points] for name in names},
        "rollouts": stage.rollouts or None,
    }


COMMANDS = (watch,)
