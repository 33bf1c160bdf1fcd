"""The events of a running build: dicts, because stage processes send them as JSON lines through a pipe.

`StageEvent` is what a stage reports about itself, `BuildEvent` adds the events of the scheduler, `ProcessMessage` those
that only the builder reads.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, TextIO, TypedDict

from astro_factory.core.context import Events
from astro_factory.runtime.outcomes import Outcome

_EVERY_S = 0.2


class ProgressEvent(TypedDict):
    event: Literal["progress"]
    done: int
    total: int
    unit: str
    figures: dict[str, float]


class MetricEvent(TypedDict):
    event: Literal["metric"]
    step: int
    values: dict[str, Any]


class CurveEvent(TypedDict):
    """The training curves of earlier runs of the stage. The first metric makes its step and later ones again."""

    event: Literal["curve"]
    points: list[dict[str, Any]]


class LogEvent(TypedDict):
    event: Literal["log"]
    text: str


class PhaseEvent(TypedDict):
    event: Literal["phase"]
    name: str


class SpentEvent(TypedDict):
    """Tokens and model calls since the previous event of this kind."""

    event: Literal["spent"]
    tokens: int
    calls: int


class RowsEvent(TypedDict):
    """The number of rows of the finished output table."""

    event: Literal["rows"]
    count: int


class StartEvent(TypedDict):
    event: Literal["start"]
    reason: str


class EndEvent(TypedDict):
    event: Literal["end"]
    outcome: Outcome
    reason: str
    """Why it failed or was skipped."""
    seconds: float
    """The time that it ran."""


class AcceptedMessage(TypedDict):
    """The process has taken a job from its queue."""

    event: Literal["accepted"]


class DoneMessage(TypedDict):
    event: Literal["done"]
    peak_bytes: int


class UserErrorMessage(TypedDict):
    event: Literal["user_error"]
    diagnostics: list[dict[str, Any]]


class FailedMessage(TypedDict):
    event: Literal["failed"]
    cause: str


StageEvent = ProgressEvent | MetricEvent | CurveEvent | LogEvent | PhaseEvent | SpentEvent | RowsEvent
BuildEvent = StageEvent | StartEvent | EndEvent
JobEnd = DoneMessage | UserErrorMessage | FailedMessage
ProcessMessage = StageEvent | AcceptedMessage | JobEnd

EventHandler = Callable[[StageEvent], None]
Watcher = Callable[[str, BuildEvent], None]
"""Called with the name of a node and an event."""


class EventSender(Events):
    """Passes events to a function: progress at most five times a second, but always the last one."""

    def __init__(self, send: EventHandler):
        self._send = send
        self._last_progress = self._last_spent = 0.0
        self._tokens = self._calls = 0
        """Spent but not sent yet."""

    def progress(self, done: int, total: int, unit: str = "", **figures: float) -> None:
        now = time.monotonic()
        if done >= total or now - self._last_progress >= _EVERY_S:
            self._last_progress = now
            self._send({"event": "progress", "done": done, "total": total, "unit": unit, "figures": figures})

    def metric(self, step: int, values: Mapping[str, Any]) -> None:
        self._send({"event": "metric", "step": step, "values": dict(values)})

    def log(self, text: str) -> None:
        self._send({"event": "log", "text": text})

    def phase(self, name: str) -> None:
        self._send({"event": "phase", "name": name})

    def spent(self, tokens: int = 0, calls: int = 0) -> None:
        self._tokens, self._calls = self._tokens + tokens, self._calls + calls
        if time.monotonic() - self._last_spent >= _EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Send what is held back."""
        if self._tokens or self._calls:
            self._last_spent = time.monotonic()
            event: SpentEvent = {"event": "spent", "tokens": self._tokens, "calls": self._calls}
            self._tokens = self._calls = 0  # first, because SIGTERM may interrupt the next line: never count twice
            self._send(event)


def line_sender(stream: TextIO) -> Callable[[ProcessMessage], None]:
    """A thread-safe function that writes each message as a JSON line."""
    lock = threading.Lock()

    def send(message: ProcessMessage) -> None:
        line = json.dumps(message, default=float) + "\n"  # numbers of NumPy and torch
        with lock:
            stream.write(line)
            stream.flush()

    return send
