"""What a stage may use up, and how long it may keep silent.

What it used up is kept beside its work folder until it is finished, so a stage that is resumed goes on counting.
"""

import json
import time
from pathlib import Path
from typing import Any

from astro_factory.core.config import StageConfig
from astro_factory.store.files import write_atomic

_SAVE_EVERY_S = 1.0
_REACHED = (
    "its budget of {limit} is used up (by now {spent}); what it has made so far is kept: "
    "raise the stage's budget.{field} and build again"
)


class Limits:
    """The limits of one stage run; `heard` takes what the stage says."""

    def __init__(self, config: StageConfig, folder: Path):
        """`folder` keeps what was used up from run to run."""
        self._budget, self.heartbeat_s = config.budget, config.heartbeat_s
        self._path = folder / "spent.json"
        before = _read(self._path)
        self._tokens, self._calls, self._seconds = before["tokens"], before["calls"], before["seconds"]
        self._start = self._last = self._saved = time.monotonic()
        self._phase = self._progress = ""

    def heard(self, event: dict[str, Any]) -> None:
        """Take note of an event: every one is a heartbeat."""
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

    def spent(self) -> dict[str, float]:
        """Tokens, model calls and seconds of all runs of the stage together."""
        return {"tokens": self._tokens, "calls": self._calls, "seconds": round(self.seconds, 2)}

    def save(self) -> None:
        """Keep what was used up, should the stage go on another time."""
        self._saved = time.monotonic()
        write_atomic(self._path, json.dumps(self.spent()).encode(), durable=False)

    def left_s(self) -> float:
        """How long nothing can happen if the stage says nothing."""
        heartbeat = self._last + self.heartbeat_s - time.monotonic()
        wall_time = self._budget.wall_time_s - self.seconds if self._budget.wall_time_s else heartbeat
        return max(0.0, min(heartbeat, wall_time))

    def reached(self) -> str | None:
        """Which budget is used up, as the failure of the stage, if one is."""
        tokens, seconds = self._budget.tokens, self._budget.wall_time_s
        if tokens is not None and self._tokens >= tokens:
            limit, spent, field = f"{tokens:,} tokens", f"{self._tokens:,}", "tokens"
        elif seconds is not None and self.seconds >= seconds:
            limit, spent, field = f"{seconds:,g} s of wall time", f"{self.seconds:,.1f} s", "wall_time_s"
        else:
            return None
        return _REACHED.format(limit=limit, spent=spent, field=field)

    def silent(self) -> str | None:
        """Where the stage fell silent, as its failure, if its heartbeat is missing."""
        if time.monotonic() - self._last < self.heartbeat_s:
            return None
        where = [f"in phase '{self._phase}'"] if self._phase else []
        where += [f"at {self._progress}"] if self._progress else []
        return f"no heartbeat for {self.heartbeat_s:,g} s (heartbeat_s), {', '.join(where or ['since its start'])}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return {"tokens": 0, "calls": 0, "seconds": 0.0} | json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, TypeError):
        return {"tokens": 0, "calls": 0, "seconds": 0.0}
