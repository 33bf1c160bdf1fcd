"""Locks between builds and the garbage collector, which must delete nothing that a build uses.

Each build holds a lock file of its own while it runs; the file's age is the age of the build. While a build decides
which results to use, and while a result is written, the process holds `gc.lock` as a shared lock; `gc` takes it as an
exclusive one. All are `flock` locks: they end with their process and work on one machine only.
"""

import errno
import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_BUILD = "build-"
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors of a store that belongs to another user or is on a read-only disk."""


@contextmanager
def build_lock(locks: Path) -> Iterator[str]:
    """Mark this process as a running build until the block ends; the id of the build, empty in a read-only store."""
    build = uuid.uuid4().hex
    path = locks / f"{_BUILD}{build}.lock"
    try:
        locks.mkdir(parents=True, exist_ok=True)
        with gc_paused(locks):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        yield ""  # such a store can only be read
        return
    try:
        yield build
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def build_is_running(locks: Path, build: str) -> bool:
    """Whether the process of a build holds its lock."""
    try:
        with (locks / f"{_BUILD}{build}.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def gc_paused(locks: Path) -> Iterator[None]:
    """Let no garbage collection start until the block ends (shared lock)."""
    try:
        handle = os.open(locks / "gc.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except FileNotFoundError:  # there is no store yet
        yield
        return
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        yield  # nothing can be done against a collection by the store's owner
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextmanager
def gc_lock(locks: Path) -> Iterator[None]:
    """Wait until no process holds `gc_paused`, and keep it so until the block ends (exclusive lock)."""
    if not locks.parent.exists():  # no store, so no processes
        yield
        return
    locks.mkdir(exist_ok=True)
    handle = os.open(locks / "gc.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def build_start_times(locks: Path) -> list[float]:
    """When each running build began, in seconds, oldest first. Call it under `gc_lock`, so that no build can start."""
    started = []
    for path in locks.glob(f"{_BUILD}*.lock"):
        with suppress(FileNotFoundError), path.open("rb+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)  # its build was killed
            except BlockingIOError:
                started.append(os.fstat(file.fileno()).st_mtime)
    return sorted(started)
