"""Results of single items as files: a digest line, then the bytes, so that a torn one reads as missing."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from astro_factory.core.context import Items
from astro_factory.store import item_locks
from astro_factory.store.files import write_atomic

ITEMS = ".items"
"""Name in a staging folder, and suffix beside a result, of the list of the items that a stage used."""


class StoredItems(Items):
    """The items of a store, in its folder `items/`."""

    def __init__(self, root: Path, used: Path | None = None):
        """`used` is a file that gets a line for each item that was found or put: what `gc` keeps for a stage."""
        self.root, self._used = root, used
        self._noted: set[str] = set()
        self._claims = root.absolute().parent / "locks" / "items"

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / key

    def get(self, key: str) -> bytes | None:
        path = self._path(key)
        try:
            value = value_of(path.read_bytes())
        except FileNotFoundError:
            return None
        if value is not None and key not in self._noted:
            with suppress(OSError):  # gone since, or a store of somebody else
                os.utime(path)
            self._note(key)
        return value

    def put(self, key: str, value: bytes) -> None:
        write_atomic(self._path(key), _digest_line(value) + b"\n" + value, durable=False)
        self._note(key)

    def _note(self, key: str) -> None:
        if self._used and key not in self._noted:
            with self._used.open("a") as file:  # one short line: threads and processes do not mix theirs
                file.write(key + "\n")
            self._noted.add(key)

    def claim(self, key: str) -> bool:
        return item_locks.claim(self._claims, key)

    def release(self, key: str) -> None:
        item_locks.release(self._claims, key)


def value_of(data: bytes) -> bytes | None:
    """The value in an item's file, if the file is whole."""
    head, _, value = data.partition(b"\n")
    return value if head == _digest_line(value) else None


def _digest_line(value: bytes) -> bytes:
    return hashlib.sha256(value).hexdigest().encode()
