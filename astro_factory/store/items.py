"""Results of single items as files: a digest line, then the bytes, so that a torn file counts as missing."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from astro_factory.core.context import Items
from astro_factory.core.files import kind_of
from astro_factory.core.results import is_digest
from astro_factory.store import item_locks
from astro_factory.store.files import write_atomic

ITEMS = ".items"
"""The list of the items that a stage used: a file name in a staging folder, a suffix beside a result."""


class StoredItems(Items):
    """The items in the folder `items/` of a store."""

    def __init__(self, root: Path, used: Path | None = None):
        """`used` is a file that lists every item that was read or written, which `gc` keeps for the stage."""
        self.root, self._used = root, used
        self._listed: set[str] = set()
        self._locks = root.absolute().parent / "locks" / "items"

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / key

    def get(self, key: str) -> bytes | None:
        path = self._path(key)
        try:
            value = value_of(path.read_bytes()) if kind_of(path) == "file" else None
        except FileNotFoundError:
            return None
        if value is not None and key not in self._listed:
            with suppress(OSError):  # deleted since, or a store of another user
                os.utime(path)
            self._list(key)
        return value

    def __contains__(self, key: str) -> bool:
        return self._path(key).exists()

    def put(self, key: str, value: bytes) -> None:
        write_atomic(self._path(key), _digest_line(value) + b"\n" + value, durable=False)
        self._list(key)

    def _list(self, key: str) -> None:
        if self._used and key not in self._listed:
            with self._used.open("a") as file:  # a short line is written at once, so lines do not interleave
                file.write(key + "\n")
            self._listed.add(key)

    def claim(self, key: str) -> bool:
        return item_locks.claim(self._locks, key)

    def release(self, key: str) -> None:
        item_locks.release(self._locks, key)


def value_of(data: bytes) -> bytes | None:
    """The value in the bytes of an item's file; None if the file is torn."""
    head, _, value = data.partition(b"\n")
    return value if head == _digest_line(value) else None


def listed_items(path: Path) -> tuple[set[str], bool]:
    """The lines of a stage's list of items, and whether each is the key of an item; nothing if there is no list."""
    if not path.is_file():
        return set(), not os.path.lexists(path)
    lines = path.read_bytes().decode(errors="replace").split("\n")
    return set(lines) - {""}, lines[-1] == "" and all(map(is_digest, lines[:-1]))


def _digest_line(value: bytes) -> bytes:
    return hashlib.sha256(value).hexdigest().encode()
