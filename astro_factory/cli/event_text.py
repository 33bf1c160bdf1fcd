"""Texts about a running build that the live table, plain lines and `watch` share."""

from collections.abc import Mapping

from astro_factory.runtime.events import EndEvent
from astro_factory.runtime.progress import RUNS, WAITS, BuildProgress

MANY = 20
"""With more stages than this to build, not every stage is shown."""
_LONG_S = 30.0
"""Stages that take at least this long are always shown."""


def worth_showing(event: EndEvent) -> bool:
    """Whether to show the end of a stage in a large build: failures and long runs."""
    return event["outcome"] == "failed" or event["seconds"] >= _LONG_S


def ended(event: EndEvent) -> str:
    """How a stage ended; the summary shows the causes of failures."""
    seconds = f" in {event['seconds']:.1f} s" if event["seconds"] else ""
    reason = f" ({event['reason']})" if event["outcome"] == "skipped" else ""
    return f"{event['outcome']}{seconds}{reason}"


def states_of(progress: BuildProgress) -> str:
    """How many stages run, and how many ended in which way."""
    counts = progress.counts()
    states = [f"{number:,} {state}" for state, number in counts.items() if state not in (WAITS, RUNS)]
    return ", ".join([f"{counts[RUNS]} running", *states])


def clock(seconds: float) -> str:
    """A duration as 0:00:07."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def amount_of(done: float, total: float, unit: str) -> str:
    return f"{done:,}/{total:,} {unit}".rstrip()


def figures_of(figures: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:,.4g}" for name, value in figures.items())
