"""The ledger of a search: which trees exist, which are in progress and where, which still have to be started.

A tree is an item with its own key, stored as soon as it is done. It is started only under a claim: of all processes
that want the same tree, one builds it and the others read it from the store. A killed process loses its claims.
"""

from collections import deque
from collections.abc import Mapping

from astro_factory.core.context import Items
from astro_factory.core.problems import Problem


class Ledger:
    """The trees of a set of problems, by item key."""

    def __init__(self, items: Items, problems: Mapping[str, Problem]):
        self._items, self._problems = items, problems
        self._waiting = deque(key for key in problems if items.get(key) is None)
        self._claimed_elsewhere: deque[str] = deque()
        """Keys that another process held when this one tried to claim them."""
        self.existing = len(problems) - len(self._waiting)
        """Trees that were in the store already or that other processes built."""
        self.completed = 0
        """Trees built here."""

    @property
    def total(self) -> int:
        return len(self._problems)

    @property
    def done(self) -> bool:
        return self.existing + self.completed == self.total

    def take(self, count: int) -> dict[str, Problem]:
        """At most `count` problems to start now; fewer, or none, when the others are in progress here or elsewhere."""
        taken: dict[str, Problem] = {}
        retries = min(count, len(self._claimed_elsewhere))
        while len(taken) < count and (self._waiting or retries):
            if self._waiting:
                key = self._waiting.popleft()
            else:
                key, retries = self._claimed_elsewhere.popleft(), retries - 1
            if not self._items.claim(key):
                self._claimed_elsewhere.append(key)
            elif self._items.get(key) is not None:
                self._items.release(key)
                self.existing += 1
            else:
                taken[key] = self._problems[key]
        return taken

    def store(self, key: str, value: bytes) -> None:
        """Store the tree of a problem that was taken."""
        self._items.put(key, value)
        self._items.release(key)
        self.completed += 1

    def put_back(self, keys: list[str]) -> None:
        """Return problems that were taken and will not be finished; they are the next to be taken."""
        self._waiting.extendleft(reversed(keys))
