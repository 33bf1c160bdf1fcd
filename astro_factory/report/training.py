"""Training curves: the points that training stages reported, by step."""

from collections.abc import Sequence
from typing import TypeVar

from astro_factory.core.artifacts import ArtifactType
from astro_factory.report.built import BuiltSpec, BuiltStage, Section
from astro_factory.report.samples import cut

T = TypeVar("T")
MAX_POINTS = 400
_NOT_DRAWN = {"step"}


def curves_of(spec: BuiltSpec) -> list[Section]:
    """The training runs that reported points, in the order of the spec."""
    curves = (curve_of(stage) for stage in spec.of_type(ArtifactType.MODEL))
    return [curve for curve in curves if curve]


def curve_of(stage: BuiltStage) -> Section:
    """The steps of a run and one list for each measure, thinned if there are many; empty if it reported none."""
    points = thinned(stage.curve, MAX_POINTS)
    names = [name for name in dict.fromkeys(name for point in points for name in point) if name not in _NOT_DRAWN]
    series = {name: [number(point.get(name)) for point in points] for name in names}
    known = {name: values for name, values in series.items() if any(value is not None for value in values)}
    if not known:
        return {}
    steps = [point.get("step") for point in points]
    return {
        "stage": stage.name,
        "kind": stage.node.kind,
        "steps": steps,
        "series": known,
        "rollouts": [{**point, "rollouts": [_shown(found) for found in point["rollouts"]]} for point in stage.rollouts],
    }


def _shown(rollout: Section) -> Section:
    return {**rollout, "text": cut(rollout["text"])}


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
