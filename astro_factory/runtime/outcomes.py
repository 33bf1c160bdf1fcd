"""How the stages of a build ended."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from astro_factory.core.results import Result


class Outcome(StrEnum):
    """How a node ended, as the summary shows it."""

    HIT = "hit"
    IMPORT = "import"
    RAN = "ran"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass
class Build:
    """The outcome of a build, by node."""

    results: dict[str, Result] = field(default_factory=dict)
    """The result of every node that has one."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)
    """The log file of each failed stage that wrote one."""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.failures

    def after(self, earlier: "Build") -> "Build":
        """This build as the continuation of an earlier one, whose runs and imports are hits by now."""
        for name, outcome in earlier.outcomes.items():
            if outcome in (Outcome.RAN, Outcome.IMPORT) and self.outcomes.get(name) is Outcome.HIT:
                self.outcomes[name], self.seconds[name] = outcome, earlier.seconds.get(name, 0.0)
        return self


class StageFailed(Exception):
    """A stage ended without its output; the text gives the cause and the last lines of the log."""
