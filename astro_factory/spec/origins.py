"""Where the spec gives a value: through names of definitions, `${...}` and a sweep's axes to the line that says it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from astro_factory.core.errors import Place
from astro_factory.spec.reader import Document, KeyPath


@dataclass(frozen=True)
class Origins:
    """Called with a path of a node's config, the place of its value or, of a default, the nearest that is written."""

    document: Document
    base: KeyPath
    """Path of the node's entry in the document."""
    written: Mapping[KeyPath, KeyPath]
    """Where a name stands to the definition it names."""
    moved: Mapping[KeyPath, KeyPath] = field(default_factory=dict)
    """Where an axis puts its value to where the sweep writes it; all parts are texts."""

    def __call__(self, path: KeyPath) -> Place | None:
        here, seen = (*self.base, *path), set()
        while here not in seen:
            seen.add(here)
            here = self._step(here)
        return self.document.place(here)

    def _step(self, path: KeyPath) -> KeyPath:
        """Where the value at a path came from; the path itself where it is written."""
        for size in range(len(path), 0, -1):
            head, rest = path[:size], path[size:]
            if source := self.moved.get(tuple(map(str, head))):
                return (*source, *rest)
            if source := self.written.get(head) or self.document.source(head):
                return (*source, *rest)
        return path
