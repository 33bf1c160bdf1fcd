"""Results of single items as files: a digest line, then the bytes, so that a torn one reads as missing."""

import hashlib
from pathlib import Path

from astro_factory.core.context import Items
from astro_factory.store import claims
from astro_factory.store.files import write_atomic


class StoredItems(Items):
    """The items of a store, in its folder `items/`."""

    def __init__(self, root: Path):
        self.root = root
        self._claims = root.absolute().parent / "locks" / "items"

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / key

    def get(self, key: str) -> bytes | None:
        try:
            return value_of(self._path(key).read_bytes())
        except FileNotFoundError:
            return None

    def put(self, key: str, value: bytes) -> None:
        write_atomic(self._path(key), _digest_line(value) + b"\n" + value, durable=False)

    def claim(self, key: str) -> bool:
        return claims.claim(self._claims, key)

    def release(self, key: str) -> None:
        claims.release(self._claims, key)


def value_of(data: bytes) -> bytes | None:
    """The value in an item's file, if the file is whole."""
    head, _, value = data.partition(b"\n")
    return value if head == _digest_line(value) else None


def _digest_line(value: bytes) -> bytes:
    return hashlib.sha256(value).hexdigest().encode()
