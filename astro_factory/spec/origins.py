"""Finds the line that sets a value, through names of definitions, `like`, `${...}` and the axes of a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from astro_factory.core.errors import Place
from astro_factory.spec.reader import Document, KeyPath


@dataclass(frozen=True)
class Origins:
    """Maps a path of a node's config to the place of its value, or of the nearest written value above a default."""

    document: Document
    base: KeyPath
    """Path of the node's entry in the document."""
    written: Mapping[KeyPath, KeyPath]
    """Path of a name to the path of the definition it refers to."""
    moved: Mapping[KeyPath, KeyPath] = field(default_factory=dict)
    """Path that an axis sets to the path of the value in the sweep; all parts of the former are strings."""

    def __call__(self, path: KeyPath) -> Place:
        here, seen = (*self.base, *path), set()
        while here not in seen:
            seen.add(here)
            here = self._step(here)
        return self.document.place(here)

    def _step(self, path: KeyPath) -> KeyPath:
        """Where the value at a path was taken from; the path itself if it is written there."""
        for size in range(len(path), 0, -1):
            head, rest = path[:size], path[size:]
            if source := self.moved.get(tuple(map(str, head))):
                return (*source, *rest)
            if source := self.written.get(head) or self.document.source(head):
                return (*source, *rest)
        return path
