"""Writing that cannot be torn: temporary file in the same file system, fsync, rename."""

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

TORN = ".tmp-"
"""How the name of a file begins that is still being written, or that a killed process left."""

STAMP_NS = 946_684_800 * 10**9
"""The time that a placed file claims it was last written (the year 2000): another time tells of a later edit."""


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Put `data` at `path`, whole or not at all. `durable` waits for the disk before the name appears."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=TORN)
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


def place_file(source: Path, target: Path) -> None:
    """Let `target` be a read-only file with the bytes of `source`, whole or not at all: a hard link where possible.

    What a symbolic link points to is copied: it belongs to somebody else. Whether the bytes are on disk is for `sync`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TORN}{uuid.uuid4().hex}")
    try:
        try:
            if source.is_symlink():
                shutil.copyfile(source, temporary)
            else:
                os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        os.chmod(temporary, 0o444)
        os.utime(temporary, ns=(STAMP_NS, STAMP_NS))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's bytes are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def same_file(one: Path, other: Path) -> bool:
    """Whether two names lead to one file; a missing one is none."""
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:
        return False


def files_below(folder: Path) -> Iterator[Path]:
    """Every whole file below a folder, sorted; none where there is no folder. Torn ones are left out."""
    for path in sorted(folder.rglob("*")):
        if not path.name.startswith(TORN) and path.is_file():
            yield path


def changed(path: Path) -> float:
    """When a file, or anything in a folder, was last changed in any way, in seconds; now, if it just went away."""
    try:
        return max(found.lstat().st_ctime for found in (path, *path.rglob("*")))
    except FileNotFoundError:
        return time.time()


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
