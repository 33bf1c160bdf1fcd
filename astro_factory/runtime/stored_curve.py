"""The training curves of a stage run, kept in its staging folder: those of a resumed run begin at its first step."""

import json
from pathlib import Path
from typing import Any

from astro_factory.store.files import write_atomic

CURVE = "curve.jsonl"
"""File in a staging folder."""

Point = dict[str, Any]
"""`step` and measures."""


class StoredCurve:
    """The points of a stage's curves, from all its runs."""

    def __init__(self, folder: Path):
        self._path = folder / CURVE
        self._points = _read(self._path)
        self._resumes = True

    def add(self, step: int, values: dict[str, Any]) -> None:
        """A point. The first one of a resumed run replaces those of the same and later steps: they are made again."""
        point = {"step": step, **values}
        if self._resumes:
            self._points = [before for before in self._points if before["step"] < step]
            write_atomic(self._path, "".join(map(_line, self._points)).encode(), durable=False)
            self._resumes = False
        self._points.append(point)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(point))

    def points(self) -> list[Point]:
        return list(self._points)

    def measures(self, most: int) -> list[Point]:
        """At most so many of the points, evenly, without rollouts."""
        found = [point for point in self._points if "rollouts" not in point]
        return found[:: max(1, -(-len(found) // most))]


def _line(point: Point) -> str:
    return json.dumps(point) + "\n"


def _read(path: Path) -> list[Point]:
    """The points up to the first line that was not written whole."""
    points: list[Point] = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            points.append(json.loads(line))
    except (FileNotFoundError, ValueError):
        pass
    return points
