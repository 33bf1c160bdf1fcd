"""What a running stage says, as JSON lines on a pipe: progress, phases, metrics, log lines, what it spent."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from astro_factory.core.context import Events

EventHandler = Callable[[dict[str, Any]], None]

_EVERY_S = 0.2


class EventSender(Events):
    """Sends events through a function; progress at most five times a second, and always the last of it."""

    def __init__(self, send: EventHandler):
        self._send = send
        self._last = 0.0
        self._told = 0.0
        self._tokens = self._calls = 0
        """Spent, and not yet sent."""

    def progress(self, done: int, total: int, unit: str = "", **figures: float) -> None:
        now = time.monotonic()
        if done >= total or now - self._last >= _EVERY_S:
            self._last = now
            self._send({"event": "progress", "done": done, "total": total, "unit": unit, "figures": figures})

    def metric(self, step: int, values: Mapping[str, Any]) -> None:
        self._send({"event": "metric", "step": step, "values": dict(values)})

    def log(self, text: str) -> None:
        self._send({"event": "log", "text": text})

    def phase(self, name: str) -> None:
        self._send({"event": "phase", "name": name})

    def spent(self, tokens: int = 0, calls: int = 0) -> None:
        self._tokens, self._calls = self._tokens + tokens, self._calls + calls
        if time.monotonic() - self._told >= _EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Send what is held back."""
        if self._tokens or self._calls:
            self._told = time.monotonic()
            event = {"event": "spent", "tokens": self._tokens, "calls": self._calls}
            self._tokens = self._calls = 0  # first: SIGTERM may end this call anywhere, and nothing is to count twice
            self._send(event)


def line_sender(stream: Any) -> EventHandler:
    """A sender that writes one JSON line for each event, whichever thread it comes from."""
    lock = threading.Lock()

    def send(event: dict[str, Any]) -> None:
        line = json.dumps(event, default=float) + "\n"  # the numbers of other libraries
        with lock:
            stream.write(line)
            stream.flush()

    return send
