"""The header of a GGUF file: its metadata, and where each tensor is.

The format is that of ggml's docs/gguf.md, versions 2 and 3, little-endian. The package `gguf` reads it too, but takes
seconds for a vocabulary and needs numpy; specs are checked without either.
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT = 32
"""Tensors start at multiples of so many bytes, unless the metadata says otherwise."""
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MAX_DIMENSIONS = 4

QUANTIZATIONS = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    30: ("BF16", 1, 2),
}
"""Number of a type to its name, the weights in a block and the bytes of a block: those that can be read."""


class Damaged(ValueError):
    """Why a file is no GGUF file, or not a whole one."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor of the file."""

    shape: tuple[int, ...]
    """Rows first, as PyTorch has them."""
    quantization: int
    """Its type, a key of `QUANTIZATIONS` if that can be read."""
    offset: int
    """Position of its data in the file."""

    @property
    def size(self) -> int:
        """Bytes of its data; 0 for an unknown quantization."""
        _, block, size = QUANTIZATIONS.get(self.quantization, ("", 1, 0))
        return prod(self.shape) // block * size


@dataclass(frozen=True, slots=True)
class GgufFile:
    """What the header says."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, TensorEntry]


def read_gguf(path: Path) -> GgufFile:
    """The header of a file. Reads no weights.

    Raises:
        Damaged: it is no GGUF file, or has less data than its header promises.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != _MAGIC:
            raise Damaged("it does not start with 'GGUF'")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                found = _read(_Cursor(data), path)
            except struct.error:
                raise Damaged(f"it ends in its header, after {size:,} bytes") from None
            except UnicodeDecodeError:
                raise Damaged("a text in its header is not UTF-8") from None
    end = max((entry.offset + entry.size for entry in found.tensors.values()), default=0)
    if end > size:
        raise Damaged(f"it ends after {size:,} of {end:,} bytes")
    return found


def _read(cursor: "_Cursor", path: Path) -> GgufFile:
    cursor.position = len(_MAGIC)
    version = cursor.number("I")
    if version not in _VERSIONS:
        raise Damaged(f"it has version {version} of the format; versions 2 and 3, little-endian, can be read")
    tensors, values = cursor.number("Q"), cursor.number("Q")
    metadata = {}
    for _ in range(values):
        name = cursor.string()
        metadata[name] = cursor.value(cursor.number("I"))
    entries = [(cursor.string(), *cursor.tensor()) for _ in range(tensors)]
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise Damaged(f"its alignment is {alignment}")
    start = -(-cursor.position // alignment) * alignment
    placed = {name: TensorEntry(shape, kind, start + offset) for name, shape, kind, offset in entries}
    return GgufFile(path, metadata, placed)


class _Cursor:
    """Reads values from a position on. Raises `struct.error` where the data ends."""

    def __init__(self, data: mmap.mmap):
        self._data = data
        self.position = 0

    def number(self, form: str) -> Any:
        (value,) = self._unpack(f"<{form}")
        return value

    def string(self) -> str:
        return self._take(self.number("Q")).decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind != _ARRAY:
            raise Damaged(f"its metadata has a value of the unknown type {kind}")
        inner, count = self.number("I"), self.number("Q")
        if inner in _NUMBERS:
            form = f"<{count}{_NUMBERS[inner]}"
            return list(self._unpack(form)) if count <= len(self._data) else self._take(count)
        return list(self._strings(inner, count))

    def tensor(self) -> tuple[tuple[int, ...], int, int]:
        """Shape, quantization, and position after the start of all data."""
        dimensions = self.number("I")
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise Damaged(f"a tensor has {dimensions} dimensions")
        shape = self._unpack(f"<{dimensions}Q")
        return shape[::-1], self.number("I"), self.number("Q")

    def _strings(self, kind: int, count: int) -> Iterator[str]:
        if kind != _STRING:
            raise Damaged(f"its metadata has a list of the type {kind}")
        for _ in range(count):
            yield self.string()

    def _unpack(self, form: str) -> tuple:
        values = struct.unpack_from(form, self._data, self.position)
        self.position += struct.calcsize(form)
        return values

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self.position:
            raise struct.error("the data ends here")
        self.position += count
        return self._data[self.position - count : self.position]
