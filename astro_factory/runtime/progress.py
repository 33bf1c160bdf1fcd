"""How far a build is, from its plan and its events: for the live table, for `watch`, and for programs.

Times are seconds of the system's clock, so that a journal can be read by another process.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from astro_factory.runtime.events import BuildEvent
from astro_factory.runtime.journal import PlannedBuild, PlannedStage

WAITS, RUNS = "waits", "runs"
_CURVE_POINTS = 2000
"""More points of a curve than a terminal can show; older ones are thinned."""


@dataclass
class StageProgress:
    """One stage of a build."""

    planned: PlannedStage
    state: str = WAITS
    """`waits`, `runs`, or how it ended (`runtime.outcomes.Outcome`)."""
    phase: str = ""
    """What it does at the moment, such as `load`."""
    done: float = 0
    total: float | None = None
    """Of the current phase; None if it has not reported progress."""
    unit: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    started: float | None = None
    ended: float | None = None
    curve: list[dict[str, Any]] = field(default_factory=list)
    """Points of the training curves: `step` and measures."""
    rollouts: dict[str, Any] = field(default_factory=dict)
    """The last responses that it showed: `step` and `rollouts`."""
    _first: tuple[float, float] | None = None
    """Time and amount of the first report of this phase; a resumed stage does not start at 0."""
    _makes_again: bool = False
    """Whether the curve is that of earlier runs, the last steps of which are made again."""

    def take(self, event: BuildEvent, now: float) -> None:
        if event["event"] == "start":
            self.state, self.started = RUNS, now
        elif event["event"] == "phase":
            self.phase = event["name"]
        elif event["event"] == "progress":
            if (self.total, self.unit) != (event["total"], event["unit"]):
                self._first = (now, event["done"])
            self.done, self.total, self.unit = event["done"], event["total"], event["unit"]
            self.figures = event["figures"]
        elif event["event"] == "curve":
            self.curve, self._makes_again = list(event["points"]), True
        elif event["event"] == "metric":
            self._add_point({"step": event["step"], **event["values"]})
        elif event["event"] == "end":
            self.state, self.ended = str(event["outcome"]), now

    def _add_point(self, point: dict[str, Any]) -> None:
        if "rollouts" in point:
            self.rollouts = point
            return
        if self._makes_again:
            self.curve = [before for before in self.curve if before["step"] < point["step"]]
            self._makes_again = False
        self.curve.append(point)
        if len(self.curve) > _CURVE_POINTS:
            self.curve = self.curve[::2]

    @property
    def runs(self) -> bool:
        return self.state == RUNS

    def seconds(self, now: float) -> float | None:
        """How long it has run; None before it starts."""
        return None if self.started is None else (self.ended or now) - self.started

    def remaining(self, now: float) -> float | None:
        """About how long it will still take: by its progress, else by its estimate; None if neither is known."""
        if self.state not in (WAITS, RUNS):
            return 0.0
        if self._first and self.total is not None and self.done > self._first[1]:
            at, before = self._first
            return (now - at) * (self.total - self.done) / (self.done - before)
        expected = self.planned["seconds"]
        return None if expected is None else max(0.0, expected - (self.seconds(now) or 0.0))


class BuildProgress:
    """All stages that a build has to do."""

    def __init__(self, planned: PlannedBuild, now: float):
        self.planned, self.started = planned, now
        self.stages = {stage["name"]: StageProgress(stage) for stage in planned["stages"]}

    def take(self, name: str, event: BuildEvent, now: float) -> None:
        """Process an event; stages that were hits when the build was planned are ignored."""
        if name in self.stages:
            self.stages[name].take(event, now)

    def counts(self) -> Counter[str]:
        """How many stages are in each state."""
        return Counter(stage.state for stage in self.stages.values())

    @property
    def done(self) -> int:
        """How many stages have ended."""
        counts = self.counts()
        return counts.total() - counts[WAITS] - counts[RUNS]

    def remaining(self, now: float) -> float | None:
        """About how long the whole build will still take; None if the time of a stage is unknown.

        No schedule is shorter than its longest chain of stages, or than all work spread over all processors; the
        scheduler comes close to the larger of the two.
        """
        left: dict[str, float] = {}
        for name, stage in self.stages.items():
            seconds = stage.remaining(now)
            if seconds is None:
                return None
            left[name] = seconds
        chains: dict[str, float] = {}
        work: dict[str, float] = defaultdict(float)
        for name, stage in self.stages.items():  # inputs come before the stages that read them
            planned = stage.planned
            chains[name] = left[name] + max((chains.get(need, 0.0) for need in planned["needs"]), default=0.0)
            work[planned["processor"]] += left[name] * planned["processors"]
        spread = (seconds / (self.planned["capacity"].get(name) or 1.0) for name, seconds in work.items())
        return max([*chains.values(), *spread], default=0.0)
