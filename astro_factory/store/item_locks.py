"""Claims on items: at most one process computes an item, and a claim ends with the process that holds it.

A claim locks one byte of a shared file, at an offset derived from the key, so thousands of claims need one open file.
These are POSIX record locks: they belong to the process and end with it. Closing any handle of the file would release
all of them, so each process opens it only once.
"""

import fcntl
import os
from functools import cache
from pathlib import Path

_OFFSETS = 1 << 62
"""Number of possible offsets; two keys at one offset would only wait for each other."""


def claim(file: Path, key: str) -> bool:
    """Claim a key; False if another process has it. A process may repeat its own claim."""
    try:
        fcntl.lockf(_handle(file), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(key))
    except (BlockingIOError, PermissionError):  # which one depends on the system
        return False
    return True


def release(file: Path, key: str) -> None:
    """Release the claim on a key."""
    fcntl.lockf(_handle(file), fcntl.LOCK_UN, 1, _offset(key))


@cache
def _handle(file: Path) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    return os.open(file, os.O_RDWR | os.O_CREAT, 0o644)


def _offset(key: str) -> int:
    return int(key[:16], 16) % _OFFSETS
