"""Training curves: the points that training stages reported, by step."""

from collections.abc import Sequence
from typing import TypeVar

from astro_factory.core.artifacts import ArtifactType
from astro_factory.report.built import BuiltSpec, Section

T = TypeVar("T")
MAX_POINTS = 400
_NOT_DRAWN = {"step"}


def curves_of(spec: BuiltSpec) -> list[Section]:
    """The runs that reported points, each with its steps and one list a measure; long runs are thinned."""
    runs: list[Section] = []
    for stage in spec.of_type(ArtifactType.MODEL):
        points = thinned(stage.curve, MAX_POINTS)
        if not points:
            continue
        names = [name for name in dict.fromkeys(name for point in points for name in point) if name not in _NOT_DRAWN]
        series = {name: [number(point.get(name)) for point in points] for name in names}
        kept = {name: values for name, values in series.items() if any(value is not None for value in values)}
        runs.append(
            {"stage": stage.name, "kind": stage.node.kind, "steps": [p.get("step") for p in points], "series": kept}
        )
    return runs


def thinned(points: Sequence[T], most: int) -> list[T]:
    """At most so many points, evenly, with the last one."""
    every = -(-len(points) // most) if points else 1
    found = list(points[::every])
    if points and found[-1] is not points[-1]:
        found.append(points[-1])
    return found


def number(value: object) -> float | None:
    """A measure to six digits; None for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    found = float(value)
    return float(f"{found:.6g}") if found == found and abs(found) != float("inf") else None
