"""A place that the user named as a cache: it may save work, and whatever goes wrong with it only costs that saving.

Every failure is told once. A place that cannot be reached is asked no more; a blob or a result that is damaged there is
refused, and its stage is planned anew without it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from astro_factory.core.errors import UserError
from astro_factory.core.results import Result, ResultProvider
from astro_factory.store.remotes import told

T = TypeVar("T")


class Cache(ResultProvider):
    """A provider behind a guard."""

    def __init__(self, place: ResultProvider, warn: Callable[[str], None]):
        self.name, self.losses = place.name, 0
        """`losses` counts what it had offered and could not give."""
        self._place, self._warn = place, warn
        self._reachable = True
        self._refused: set[str] = set()
        """Digests of blobs."""
        self._results: dict[str, Result | None] = {}

    def result(self, key: str) -> Result | None:
        if key not in self._results:
            self._results[key] = self._asked(lambda: self._place.result(key), f"result {key[:12]}")
        return self._results[key] if self._reachable else None

    def has_blobs(self, result: Result) -> bool:
        if any(entry["sha256"] in self._refused for entry in result.outputs.values()):
            return False
        return bool(self._asked(lambda: self._place.has_blobs(result), f"result {result.key[:12]}"))

    def fetch(self, sha256: str, path: Path) -> None:
        try:
            self._place.fetch(sha256, path)
        except FileNotFoundError:
            self._refuse(sha256, f"blob {sha256[:12]} of {self.name} is missing")
            raise UserError.of("E175", f"blob {sha256[:12]} of {self.name} is missing", "build again") from None
        except Exception as error:
            self.losses += 1
            self._leave(error)
            raise UserError.of("E175", f"{self.name} cannot be reached any more", "build again") from error

    def damaged(self, sha256: str) -> UserError:
        error = self._place.damaged(sha256)
        self._refuse(sha256, told(error))
        return error

    def _refuse(self, sha256: str, cause: str) -> None:
        self.losses += 1
        self._refused.add(sha256)
        self._warn(f"{cause}; it is made here instead")

    def _asked(self, question: Callable[[], T], about: str) -> T | None:
        if not self._reachable:
            return None
        try:
            return question()
        except ValueError as error:
            self._warn(f"{about} of {self.name} is damaged ({told(error)}); it is made here instead")
        except Exception as error:
            self._leave(error)
        return None

    def _leave(self, error: Exception) -> None:
        if self._reachable:
            self._reachable = False
            self._warn(f"{self.name} cannot be used ({told(error)}); going on without it")
