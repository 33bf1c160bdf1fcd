"""What a running stage gets: its inputs as paths, a folder for its outputs, and a way to say how far it is.

A stage reads only what its context hands out, so its key covers all it can depend on.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Items(ABC):
    """Results of single items (one problem's tree, say) under their own keys; they outlive a killed stage."""

    @abstractmethod
    def get(self, key: str) -> bytes | None: ...

    @abstractmethod
    def put(self, key: str, value: bytes) -> None: ...

    def claim(self, key: str) -> bool:
        """Whether this process may make the item now; if not, another one is at it. Ends with the process."""
        return True

    def release(self, key: str) -> None:  # noqa: B027
        """End a claim."""


@dataclass(frozen=True)
class StageContext:
    """Handed to every stage's `run(ctx, config)`."""

    name: str
    """The stage's name in the spec, for messages only."""
    inputs: Mapping[str, Path]
    """Folder of each referenced artifact by the name the config uses."""
    digests: Mapping[str, str]
    """Content digest of each of these artifacts, for item keys."""
    out: Path
    """Empty folder; the files left here are the output."""
    scratch: Path
    """Scratch folder of this key, kept across a kill and a resume (checkpoints); never part of the output."""
    items: Items
    events: "Events"


class Events(ABC):
    """What a stage tells the builder. Every call is also its heartbeat, and cheap: the sender limits the rate."""

    @abstractmethod
    def progress(self, done: int, total: int, unit: str = "", **figures: float) -> None:
        """How far the stage is."""

    @abstractmethod
    def metric(self, step: int, values: Mapping[str, Any]) -> None:
        """A point of a training curve; kept with the run's provenance, not in the output."""

    @abstractmethod
    def log(self, text: str) -> None:
        """A line for the stage's log."""

    def phase(self, name: str) -> None:  # noqa: B027
        """What begins now ("load", "rollout"); a missed heartbeat names it."""

    def spent(self, tokens: int = 0, calls: int = 0) -> None:  # noqa: B027
        """Tokens and model calls since the last time it was said; they count against the stage's budget."""
