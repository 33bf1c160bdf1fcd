"""Model folders that reach the nodes of a Ray cluster without a shared file system.

An actor on the machine of the build reads their files piece by piece; a node that does not see a folder copies it once
into its cache, under the folder's digest. Only a few pieces are in the object store at a time, whatever the size.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from astro_factory.core.errors import UserError
from astro_factory.core.ray_cluster import other_nodes, store_errors

CACHE = "ray-folders"
"""Folder of the cache below `~/.cache/astro-factory`."""
_PIECE = 32 << 20
"""Bytes in one message."""
_PIECE_S = 300.0
"""By when a piece must have arrived."""
_COPY_S = 4 * 3600.0
"""How long workers of a node wait for the one that copies."""
_KEEP_S = 14 * 86400.0
"""A copy that has not been used for this long is removed before a new one is made."""


class _Reader:
    """Runs on the machine that has the folders."""

    def read(self, path: str, offset: int, size: int) -> bytes:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(size)


@dataclass(frozen=True)
class SharedFolder:
    """A folder that workers on any node can get. Its content belongs to its digest and does not change."""

    path: Path
    """Where it is on the machine of the build."""
    digest: str
    files: tuple[tuple[str, int], ...]
    """Name and size of each file."""
    reader: Any = None
    """Actor that reads the files; None if all workers are on the same machine. Ray's stubs do not know its methods."""

    def here(self) -> Path:
        """The folder on this node: the original if this node sees it, or else a copy.

        Raises:
            UserError: E643 if it cannot be copied, E642 if the object store is full.
        """
        if _files(self.path) == self.files or self.reader is None:
            return self.path
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "astro-factory" / CACHE
        copy = cache / self.digest.replace(":", "-")
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{copy}.lock", timeout=_COPY_S):
                if not copy.exists():
                    _remove_unused(cache)
                    self._copy(cache, copy)
                os.utime(copy)
        except (OSError, Timeout) as error:
            why = getattr(error, "cause", error)  # of an error on the other machine without its traceback
            cause = f"'{self.path}' of the machine that builds cannot be copied to {copy}: {why}"
            raise UserError.of("E643", cause, "free disk space there, or set XDG_CACHE_HOME on the nodes") from error
        return copy

    def _copy(self, cache: Path, copy: Path) -> None:
        new = Path(tempfile.mkdtemp(prefix="new-", dir=cache))
        try:
            for name, size in self.files:
                target = new / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    for piece in self._pieces(name, size):
                        file.write(piece)
            new.rename(copy)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _pieces(self, name: str, size: int) -> Iterator[bytes]:
        import ray
        from ray.exceptions import GetTimeoutError, RayActorError

        for offset in range(0, size, _PIECE):
            wanted = min(_PIECE, size - offset)
            asked = self.reader.read.remote(str(self.path / name), offset, wanted)
            with store_errors():
                try:
                    piece: Any = ray.get(asked, timeout=_PIECE_S)
                except (GetTimeoutError, RayActorError) as error:
                    raise OSError(f"no answer from the machine that builds: {error}") from error
            if len(piece) != wanted:
                raise OSError(f"{name} has changed there")
            yield piece


def _remove_unused(cache: Path) -> None:
    """Remove old copies, and what is left of copying that was killed. Workers that still run have loaded theirs."""
    oldest = time.time() - _KEEP_S
    for folder in filter(Path.is_dir, cache.iterdir()):
        with suppress(FileNotFoundError, Timeout), FileLock(f"{folder}.lock", timeout=0):  # skips a copy in use
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder)


class SharedFolders:
    """The folders of one stage, and the actor that reads them; it ends with the last handle to it."""

    def __init__(self) -> None:
        self._reader: Any = None
        self._shared: dict[Path, SharedFolder] = {}

    def share(self, folder: Path, digest: str) -> SharedFolder:
        """Make a folder available to the nodes of the cluster."""
        if folder not in self._shared:
            if self._reader is None and other_nodes():
                self._reader = _start_reader()
            self._shared[folder] = SharedFolder(folder.absolute(), digest, _files(folder), self._reader)
        return self._shared[folder]


def _start_reader() -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Any: Ray's stubs know neither this strategy nor the methods of an actor
    here: Any = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    kind: Any = ray.remote(num_cpus=0, scheduling_strategy=here)(_Reader)
    return kind.remote()


def _files(folder: Path) -> tuple[tuple[str, int], ...]:
    """Name and size of each file below a folder; empty if there is no such folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return tuple(sorted((path.relative_to(folder).as_posix(), path.stat().st_size) for path in found))
