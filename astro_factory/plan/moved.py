"""Stages that run again only because a new version of this package makes their output in another way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from astro_factory.core.plans import MISSING, Plan
from astro_factory.core.results import Result
from astro_factory.plan.estimates import Estimate

_VERSION = "version"
"""The field of a record with the version of a kind's code."""


@dataclass(frozen=True, slots=True)
class MovedKind:
    """The stages of a plan that one kind's new version moves."""

    kind: str
    old: int
    new: int
    stages: tuple[str, ...]
    seconds: dict[str, float]
    """What remaking them takes, summed over processors, by `cores` or `GPUs`."""
    time_unknown: int
    """Stages whose time is not known."""
    made_with: str
    """The version of this package that made the earlier results; empty if unknown."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"stages": list(self.stages)}


def moved_by_version(plan: Plan, expected: Mapping[str, Estimate], last: Mapping[str, Result]) -> list[MovedKind]:
    """The stages whose record differs from that of their last result in nothing but the version, by kind.

    `last`: the result of each node in the spec's last build.
    """
    groups: dict[tuple[str, int, int], list[str]] = {}
    for name, item in plan.nodes.items():
        if [change.name for change in item.changes] == [_VERSION] and item.changes[0].old is not MISSING:
            change: Any = item.changes[0]
            groups.setdefault((item.node.kind, change.old, change.new), []).append(name)
    found = []
    for (kind, old, new), names in groups.items():
        seconds: dict[str, float] = {}
        for estimate in (expected[name] for name in names if name in expected):
            if estimate.seconds is not None:
                seconds[estimate.processor] = seconds.get(estimate.processor, 0.0) + estimate.seconds
        unknown = sum(name not in expected or expected[name].seconds is None for name in names)
        makers = {last[name].provenance.get("versions", {}).get("astro-factory", "") for name in names if name in last}
        found.append(MovedKind(kind, old, new, tuple(names), seconds, unknown, ", ".join(sorted(filter(None, makers)))))
    return found
