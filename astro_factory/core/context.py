"""The context of a running stage: its inputs as paths, a folder for its output, and a channel for its progress.

A stage reads only what its context provides, so its key covers everything that it can depend on.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Items(ABC):
    """Results of single items, such as one problem's tree, under their own keys; they survive a killed stage."""

    @abstractmethod
    def get(self, key: str) -> bytes | None: ...

    def __contains__(self, key: str) -> bool:
        """Whether there is such an item; it may still be damaged."""
        return self.get(key) is not None

    @abstractmethod
    def put(self, key: str, value: bytes) -> None: ...

    def claim(self, key: str) -> bool:
        """Whether this process may compute the item; False if another one does. A claim ends with the process."""
        return True

    def release(self, key: str) -> None:  # noqa: B027
        """Release a claim."""


@dataclass(frozen=True)
class StageContext:
    """The first argument of every stage's `run(ctx, config)`."""

    name: str
    """The stage's name in the spec; for messages only."""
    inputs: Mapping[str, Path]
    """Folder of each referenced artifact by the name the config uses."""
    digests: Mapping[str, str]
    """Content digest of each of these artifacts, for item keys."""
    out: Path
    """An empty folder; the files that the stage leaves in it are the output."""
    scratch: Path
    """A folder for checkpoints that survives a kill and a resume; never part of the output."""
    items: Items
    events: "Events"


class Events(ABC):
    """What a stage reports to the builder. Every call is also a heartbeat, and cheap: the sender limits the rate."""

    @abstractmethod
    def progress(self, done: int, total: int, unit: str = "", **figures: float) -> None:
        """Report progress."""

    @abstractmethod
    def metric(self, step: int, values: Mapping[str, Any]) -> None:
        """Report a point of a training curve; kept in the run's provenance, not in the output."""

    @abstractmethod
    def log(self, text: str) -> None:
        """Add a line to the stage's log."""

    def phase(self, name: str) -> None:  # noqa: B027
        """Report the start of a phase ("load", "rollout"); the error for a missed heartbeat names it."""

    def spent(self, tokens: int = 0, calls: int = 0) -> None:  # noqa: B027
        """Report tokens and model calls since the last report; they count against the stage's budget."""
