"""Claims on items: at most one process makes an item, and a claim dies with the process that holds it.

A claim locks one byte of one file, at a place that follows from the key, so thousands of claims cost one open file.
The system's record locks are per process and end with it, however it ends. Closing any handle of the file would give
all claims back, hence the one handle a process.
"""

import fcntl
import os
from functools import cache
from pathlib import Path

_PLACES = 1 << 62
"""Places that a lock can be at; two keys at one place would only wait for each other."""


def claim(file: Path, key: str) -> bool:
    """Take the claim on a key, unless another process has it. A process may take its own claim again."""
    try:
        fcntl.lockf(_handle(file), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
    except (BlockingIOError, PermissionError):  # systems answer either
        return False
    return True


def release(file: Path, key: str) -> None:
    """Give the claim on a key back."""
    fcntl.lockf(_handle(file), fcntl.LOCK_UN, 1, _place(key))


@cache
def _handle(file: Path) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    return os.open(file, os.O_RDWR | os.O_CREAT, 0o644)


def _place(key: str) -> int:
    return int(key[:16], 16) % _PLACES
