"""A limit on what a whole build may spend: tokens, hours and GPU-hours, over all its stages together."""

import time
from dataclasses import dataclass

from astro_factory.core.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendLimit:
    """What a run of a command may spend; None is no limit."""

    tokens: int | None = None
    """Tokens that models sample or are trained on."""
    hours: float | None = None
    """Time from start to end."""
    gpu_hours: float | None = None
    """Hours of each GPU that a stage holds, added up."""


class SpendLimitReached(UserError):
    """The build stopped at its limit; the program exits with code 3."""

    exit_code = 3


class Spending:
    """What the builds of one command have spent so far, against its limit.

    GPU-hours grow with time while a stage holds GPUs: `hold` says how many are held from now on.
    """

    def __init__(self, limit: SpendLimit):
        self._limit = limit
        self._start = self._last = time.monotonic()
        self._tokens = self._gpus = 0
        self._gpu_seconds = 0.0

    def add_tokens(self, tokens: int) -> None:
        self._tokens += tokens

    def hold(self, gpus: int) -> None:
        now = time.monotonic()
        self._gpu_seconds += self._gpus * (now - self._last)
        self._last, self._gpus = now, gpus

    def seconds_left(self) -> float | None:
        """The time until a limit on time is reached if nothing changes; None without such a limit."""
        now, left = time.monotonic(), []
        if self._limit.hours is not None:
            left.append(self._start + self._limit.hours * 3600 - now)
        if self._limit.gpu_hours is not None and self._gpus:
            left.append((self._limit.gpu_hours * 3600 - self._gpu_seconds) / self._gpus + self._last - now)
        return max(0.0, min(left)) if left else None

    def check(self) -> None:
        """Raises `SpendLimitReached` E184 if a limit is reached."""
        self.hold(self._gpus)
        hours = (self._last - self._start) / 3600
        for limit, spent, unit, form in (
            (self._limit.tokens, self._tokens, "tokens", ",d"),
            (self._limit.hours, hours, "hours", ",.4g"),
            (self._limit.gpu_hours, self._gpu_seconds / 3600, "GPU-hours", ",.4g"),
        ):
            if limit is not None and spent >= limit:
                raise SpendLimitReached.of(
                    "E184",
                    f"the build reached its limit of {limit:,g} {unit} ({spent:{form}} spent)",
                    "what it did is kept: run the same command to continue, which counts from zero",
                )
