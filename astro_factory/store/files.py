"""Writing that cannot be torn: temporary file in the same file system, fsync, rename."""

import os
import shutil
import tempfile
import uuid
from pathlib import Path


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Put `data` at `path`, whole or not at all. `durable` waits for the disk before the name appears."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
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


def place_file(source: Path, target: Path, *, durable: bool) -> None:
    """Let `target` be a read-only file with the bytes of `source`, whole or not at all: a hard link where possible.

    What a symbolic link points to is copied: it belongs to somebody else.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        try:
            if source.is_symlink():
                shutil.copy2(source, temporary)
            else:
                os.link(source, temporary)
        except OSError:
            shutil.copy2(source, temporary)
        os.chmod(temporary, 0o444)
        if durable:
            _sync(temporary)
        os.replace(temporary, target)
        if durable:
            _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
