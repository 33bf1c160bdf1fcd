"""The budget and the heartbeat of a stage run.

What a stage has spent is kept in its staging folder until it finishes, so a resumed stage goes on counting.
"""

import json
import time
from pathlib import Path
from typing import TypedDict

from astro_factory.core.config import StageConfig
from astro_factory.runtime.events import StageEvent
from astro_factory.store.files import write_atomic

SPENT = "spent.json"
"""File in a staging folder."""
_SAVE_EVERY_S = 1.0


class Spent(TypedDict):
    """What all runs of a stage have spent together."""

    tokens: int
    calls: int
    seconds: float


class Limits:
    """The limits of one stage run; `update` takes every event that the stage sends."""

    def __init__(self, config: StageConfig, folder: Path):
        """`folder` keeps what was spent from run to run."""
        self._budget, self.heartbeat_s, self.grace_s = config.budget, config.heartbeat_s, config.grace_s
        self._path = folder / SPENT
        before = _read(self._path)
        self._tokens, self._calls, self._seconds = before["tokens"], before["calls"], before["seconds"]
        self._start = self._last = self._saved = time.monotonic()
        self._phase = self._progress = ""

    def update(self, event: StageEvent) -> None:
        """Count what an event says was spent; every event is a heartbeat."""
        self._last = time.monotonic()
        if event["event"] == "spent":
            self._tokens, self._calls = self._tokens + event["tokens"], self._calls + event["calls"]
        elif event["event"] == "phase":
            self._phase = event["name"]
        elif event["event"] == "progress":
            self._progress = f"{event['done']:,}/{event['total']:,} {event['unit']}".rstrip()
        if self._last - self._saved >= _SAVE_EVERY_S:
            self.save()

    @property
    def seconds(self) -> float:
        return self._seconds + time.monotonic() - self._start

    def spent(self) -> Spent:
        return {"tokens": self._tokens, "calls": self._calls, "seconds": round(self.seconds, 2)}

    def save(self) -> None:
        """Keep what was spent, in case the stage has to resume."""
        self._saved = time.monotonic()
        write_atomic(self._path, json.dumps(self.spent()).encode(), durable=False)

    def seconds_left(self) -> float:
        """The time until a silent stage reaches a limit."""
        heartbeat = self._last + self.heartbeat_s - time.monotonic()
        wall_time = self._budget.wall_time_s - self.seconds if self._budget.wall_time_s else heartbeat
        return max(0.0, min(heartbeat, wall_time))

    def exceeded(self) -> str | None:
        """The failure message of a stage that has used up a budget."""
        tokens, seconds = self._budget.tokens, self._budget.wall_time_s
        if tokens is not None and self._tokens >= tokens:
            limit, spent, field = f"{tokens:,} tokens", f"{self._tokens:,}", "tokens"
        elif seconds is not None and self.seconds >= seconds:
            limit, spent, field = f"{seconds:,g} s of wall time", f"{self.seconds:,.1f} s", "wall_time_s"
        else:
            return None
        return (
            f"its budget of {limit} is used up ({spent} so far); its work is kept: "
            f"raise the stage's budget.{field} and build again"
        )

    def heartbeat_missed(self) -> str | None:
        """The failure message of a stage that was silent for too long; names its phase and progress."""
        if time.monotonic() - self._last < self.heartbeat_s:
            return None
        where = [f"in phase '{self._phase}'"] if self._phase else []
        where += [f"at {self._progress}"] if self._progress else []
        return f"no heartbeat for {self.heartbeat_s:,g} s (heartbeat_s), {', '.join(where or ['since its start'])}"


def _read(path: Path) -> Spent:
    spent: Spent = {"tokens": 0, "calls": 0, "seconds": 0.0}
    try:
        return spent | json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, TypeError):
        return spent
