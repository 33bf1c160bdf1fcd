"""Atomic writes: a temporary file in the same file system, fsync, rename."""

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

TEMP_PREFIX = ".tmp-"
"""Prefix of the name of a file that is being written, or that a killed process left unfinished."""

BLOB_MTIME_NS = 946_684_800 * 10**9
"""The modification time of every stored file (the year 2000), so that any other time reveals an edit."""


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path` completely or not at all. `durable` waits for the disk before the rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=TEMP_PREFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def link_or_copy(source: Path, target: Path) -> None:
    """Create `target` atomically as a read-only hard link to `source` or, if that is impossible, a copy.

    The target of a symbolic link is always copied, because it belongs to the user. The data is not synced; see `sync`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMP_PREFIX}{uuid.uuid4().hex}")
    try:
        try:
            if source.is_symlink():
                shutil.copyfile(source, temporary)
            else:
                os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        os.chmod(temporary, 0o444)
        os.utime(temporary, ns=(BLOB_MTIME_NS, BLOB_MTIME_NS))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's data is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same existing file."""
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:
        return False


def files_below(folder: Path) -> Iterator[Path]:
    """Every finished file below a folder, sorted; nothing if the folder does not exist."""
    for path in sorted(folder.rglob("*")):
        if not path.name.startswith(TEMP_PREFIX) and path.is_file():
            yield path


def last_change(path: Path) -> float:
    """The latest ctime of a file, or of a folder and everything in it, in seconds; now, if it has just disappeared."""
    try:
        return max(found.lstat().st_ctime for found in (path, *path.rglob("*")))
    except FileNotFoundError:
        return time.time()


def remove(path: Path) -> None:
    """Remove a file or a folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
