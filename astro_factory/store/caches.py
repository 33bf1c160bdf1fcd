"""A cache: a place that the user named, which may save work and whose failures only cost that saving.

Every failure gives one warning. A place that cannot be reached is not asked again. A damaged blob or result is refused,
and its stage is planned again without it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from astro_factory.core.errors import UserError
from astro_factory.core.results import Result, ResultProvider
from astro_factory.store.remotes import error_summary

T = TypeVar("T")


class Cache(ResultProvider):
    """A provider whose failures become warnings."""

    required = False

    def __init__(self, provider: ResultProvider, warn: Callable[[str], None]):
        self.name, self.failed_fetches = provider.name, 0
        """`failed_fetches` counts the blobs and results that a plan counted on and that the cache could not deliver."""
        self._provider, self._warn = provider, warn
        self._reachable, self._known = True, False
        self._refused: set[str] = set()
        """Digests of blobs."""
        self._rejected: set[str] = set()
        """Keys of results."""
        self._results: dict[str, Result | None] = {}

    def result(self, key: str) -> Result | None:
        if key not in self._results:
            found = self._results[key] = self._query(lambda: self._provider.result(key), f"result {key[:12]}")
            if found is None and not self._known:  # a wrong address must not be silent
                self._known = True
                if cause := self._query(self._provider.why_empty, "the store"):
                    self._give_up(FileNotFoundError(cause))
        return self._results[key] if self._reachable and key not in self._rejected else None

    def has_blobs(self, result: Result) -> bool:
        if any(entry["sha256"] in self._refused for entry in result.outputs.values()):
            return False
        return bool(self._query(lambda: self._provider.has_blobs(result), f"result {result.key[:12]}"))

    def fetch(self, sha256: str, path: Path) -> None:
        try:
            self._provider.fetch(sha256, path)
        except FileNotFoundError:
            self._refuse(sha256, f"blob {sha256[:12]} of {self.name} is missing")
            raise UserError.of("E175", f"blob {sha256[:12]} of {self.name} is missing", "build again") from None
        except Exception as error:
            self.failed_fetches += 1
            self._give_up(error)
            raise UserError.of("E175", f"{self.name} cannot be reached any more", "build again") from error

    def damaged(self, sha256: str) -> UserError:
        error = self._provider.damaged(sha256)
        self._refuse(sha256, error_summary(error))
        return error

    def reject(self, key: str, cause: str, *, planned: bool) -> UserError:
        self.failed_fetches += planned
        self._rejected.add(key)
        error = self._provider.reject(key, cause, planned=planned)
        self._warn(f"{error_summary(error)}; the stage runs here instead")
        return error

    def _refuse(self, sha256: str, cause: str) -> None:
        self.failed_fetches += 1
        self._refused.add(sha256)
        self._warn(f"{cause}; the stage runs here instead")

    def _query(self, function: Callable[[], T], what: str) -> T | None:
        """Call the provider; None if it fails or failed before."""
        if not self._reachable:
            return None
        try:
            return function()
        except ValueError as error:
            self._warn(f"{what} of {self.name} is damaged ({error_summary(error)}); the stage runs here instead")
        except Exception as error:
            self._give_up(error)
        return None

    def _give_up(self, error: Exception) -> None:
        if self._reachable:
            self._reachable = False
            self._warn(f"{self.name} cannot be used ({error_summary(error)}); the build continues without it")
