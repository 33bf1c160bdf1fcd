"""What `watch` prints with `--json`; docs/reference/json.md shows it."""

from typing import Any, Literal

from typing_extensions import TypedDict

from astro_factory.cli.json_output_estimates import documented


@documented
class WatchedStage(TypedDict):
    """A stage that the build has to do."""

    name: str
    """Name of the stage."""
    kind: str
    """Its kind."""
    state: str
    """`waits`, `runs`, or how it ended: `ran`, `hit`, `import`, `failed`, `skipped`."""
    phase: str
    """What it does at the moment, such as `load`; empty if it does not run."""
    done: float
    """Work done in this phase."""
    total: float | None
    """Work of this phase; null if the stage has not reported any."""
    unit: str
    """What is counted."""
    figures: dict[str, float]
    """Further figures of its progress."""
    seconds: float | None
    """How long it has run; null before it starts."""
    remaining: float | None
    """About how many seconds it will still take; null if unknown."""
    curve: dict[str, list[float | None]]
    """Training curves: `step` and the measures, thinned to at most 401 points."""
    rollouts: dict[str, Any] | None
    """The last responses that it reported: `step` and `rollouts`, a list of `problem`, `text`, `verdict`, `reward`."""


@documented
class RunningBuild(TypedDict):
    """A build of the spec."""

    id: str
    """Tells builds apart."""
    pid: int
    """Its process."""
    state: Literal["running", "finished", "failed", "interrupted", "killed"]
    """Whether it runs, or how it ended."""
    seconds: float
    """How long it has run."""
    remaining: float | None
    """About how many seconds it will still take; null if the time of a stage is unknown, and after its end."""
    stages: list[WatchedStage]
    """The stages that were not hits when the build began."""


@documented
class WatchOutput(TypedDict):
    """A line of `watch`, printed whenever something has changed; the last one when all builds have ended."""

    spec: str
    """The spec, as given."""
    builds: list[RunningBuild]
    """The builds of the spec that run in the store or have ended since `watch` began, oldest first. A killed build is
    listed until the next build begins. Empty if there are none."""
