"""The head of a safetensors file: what its tensors are called and what shapes they have, without the tensors."""

import json
from math import prod
from pathlib import Path
from typing import Any

_MAX_HEAD = 1 << 26
"""Largest head in bytes."""


def read_head(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """The entry of each tensor by its name, and where the data begin, in bytes. Raises `ValueError` with the cause."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_HEAD):
            raise ValueError("its header is cut or too large")
        head = json.loads(file.read(length))
    if not isinstance(head, dict):
        raise ValueError("its header is not a JSON object")
    return {name: tensor for name, tensor in head.items() if name != "__metadata__"}, 8 + length


def count_values(path: Path) -> int:
    """The number of values in the tensors of a file. Raises `ValueError`."""
    return sum(prod(tensor["shape"]) for tensor in read_head(path)[0].values())
