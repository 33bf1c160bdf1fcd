"""Who is at work in a store: builds, and a collector that takes nothing from under them.

A build holds a lock file of its own for as long as it lives; the file's age is the build's. Whenever it decides which
results to use, and whenever a result is written, it holds `gc.lock` together with others; `gc` needs that lock alone.
All are `flock` locks: they end with their process, however it ends, and hold on one machine only.
"""

import errno
import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_BUILD = "build-"
_NOT_TO_WRITE = (errno.EACCES, errno.EPERM, errno.EROFS)
"""What a store of somebody else, or on a disk that is mounted to be read, answers."""


@contextmanager
def building(locks: Path) -> Iterator[None]:
    """Be known as a running build until the block ends."""
    path = locks / f"{_BUILD}{uuid.uuid4().hex}.lock"
    try:
        locks.mkdir(parents=True, exist_ok=True)
        with steady(locks):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NOT_TO_WRITE:
            raise
        yield  # there is nothing to do in it but to look
        return
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def steady(locks: Path) -> Iterator[None]:
    """Let nothing be collected until the block ends; many may hold this at once."""
    try:
        handle = os.open(locks / "gc.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except FileNotFoundError:  # no store yet
        yield
        return
    except OSError as error:
        if error.errno not in _NOT_TO_WRITE:
            raise
        yield  # whoever may collect it cannot be told
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextmanager
def alone(locks: Path) -> Iterator[None]:
    """Wait until nobody holds the store steady, and keep it so until the block ends."""
    if not locks.parent.exists():  # no store, so nobody
        yield
        return
    locks.mkdir(exist_ok=True)
    handle = os.open(locks / "gc.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def running_since(locks: Path) -> list[float]:
    """When each running build began, in seconds, oldest first. Needs `alone`: a build may be about to take its lock."""
    began = []
    for path in locks.glob(f"{_BUILD}*.lock"):
        with suppress(FileNotFoundError), path.open("rb+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)  # its build died
            except BlockingIOError:
                began.append(os.fstat(file.fileno()).st_mtime)
    return sorted(began)
