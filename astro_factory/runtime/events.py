"""What a running stage says, as JSON lines on a pipe: progress, metrics, log lines, a user's mistake."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from astro_factory.core.context import Events

_EVERY_S = 0.2


class EventSender(Events):
    """Sends events through a function; progress at most five times a second, and always the last of it."""

    def __init__(self, send: Callable[[dict[str, Any]], None]):
        self._send = send
        self._last = 0.0

    def progress(self, done: int, total: int, unit: str = "", **figures: float) -> None:
        now = time.monotonic()
        if done >= total or now - self._last >= _EVERY_S:
            self._last = now
            self._send({"event": "progress", "done": done, "total": total, "unit": unit, "figures": figures})

    def metric(self, step: int, values: Mapping[str, Any]) -> None:
        self._send({"event": "metric", "step": step, "values": dict(values)})

    def log(self, text: str) -> None:
        self._send({"event": "log", "text": text})


def line_sender(stream: Any) -> Callable[[dict[str, Any]], None]:
    """A sender that writes one JSON line for each event, whichever thread it comes from."""
    lock = threading.Lock()

    def send(event: dict[str, Any]) -> None:
        line = json.dumps(event, default=float) + "\n"  # the numbers of other libraries
        with lock:
            stream.write(line)
            stream.flush()

    return send
