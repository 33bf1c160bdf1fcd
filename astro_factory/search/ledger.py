"""The ledger of a search: which trees are there, which are being made and by whom, which are still to be begun.

A tree is an item under its own key, stored the moment it is done. It is begun only under a claim, so that of all
processes that want it one makes it and the others take it from the store; a claim of a killed process is free again.
"""

from collections import deque
from collections.abc import Mapping

from astro_factory.core.context import Items
from astro_factory.core.problems import Problem


class Ledger:
    """The items of some problems, by key."""

    def __init__(self, items: Items, problems: Mapping[str, Problem]):
        self._items, self._problems = items, problems
        self._waiting = deque(key for key in problems if items.get(key) is None)
        self._elsewhere: deque[str] = deque()
        """Keys that other processes had claimed when it was their turn."""
        self.existing = len(problems) - len(self._waiting)
        """How many trees are there that nobody had to make here."""
        self.completed = 0

    @property
    def total(self) -> int:
        return len(self._problems)

    @property
    def done(self) -> bool:
        return self.existing + self.completed == self.total

    def take(self, count: int) -> dict[str, Problem]:
        """At most `count` problems to begin now; fewer, or none, where the rest is in work here or elsewhere."""
        taken: dict[str, Problem] = {}
        again = min(count, len(self._elsewhere))
        while len(taken) < count and (self._waiting or again):
            if self._waiting:
                key = self._waiting.popleft()
            else:
                key, again = self._elsewhere.popleft(), again - 1
            if not self._items.claim(key):
                self._elsewhere.append(key)
            elif self._items.get(key) is not None:
                self._items.release(key)
                self.existing += 1
            else:
                taken[key] = self._problems[key]
        return taken

    def store(self, key: str, value: bytes) -> None:
        """Store a tree that was taken."""
        self._items.put(key, value)
        self._items.release(key)
        self.completed += 1

    def put_back(self, keys: list[str]) -> None:
        """What was taken and will not be made by the one who has it; it is the next to be taken."""
        self._waiting.extendleft(reversed(keys))
