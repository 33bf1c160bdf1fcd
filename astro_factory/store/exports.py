"""Store exports: results and blobs in one tar file, which turns a costly stage into a cache hit elsewhere.

An export includes the results of everything upstream without their blobs, because the exported stage's key depends on
their digests. Members are sorted and have no times, so equal exports are equal bytes.
"""

import io
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from astro_factory.core.errors import UserError
from astro_factory.core.results import MAX_RESULT, Result, ResultProvider, is_digest
from astro_factory.store.files import TEMP_PREFIX
from astro_factory.store.remotes import error_summary
from astro_factory.store.store import Store

_CHUNK = 1 << 20
_MAX_HEADER = 4096
"""Largest header of a member, in bytes. Exports need one over 512 bytes only for blobs over 8 GiB."""
_MAX_RESULTS = 1 << 30
"""Largest total size of the result files of an export."""


def write_export(store: Store, path: Path, with_files: Iterable[Result], records_only: Iterable[Result]) -> int:
    """Write results with their blobs, and results alone; returns the file's size in bytes."""
    with_files = list(with_files)
    path.parent.mkdir(parents=True, exist_ok=True)
    results = {result.key: result for result in (*with_files, *records_only)}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=TEMP_PREFIX) as folder:
        temporary = Path(folder) / path.name
        with tarfile.open(temporary, "w") as tar:
            for key in sorted(results):
                data = results[key].as_json()
                _add(tar, f"results/{key}.json", io.BytesIO(data), len(data))
            for sha256 in sorted({e["sha256"] for result in with_files for e in result.outputs.values()}):
                blob = store.blob_path(sha256)
                with blob.open("rb") as file:
                    _add(tar, f"blobs/{sha256}", file, blob.stat().st_size)
        temporary.replace(path)
    return path.stat().st_size


def _add(tar: tarfile.TarFile, name: str, data: BinaryIO, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    tar.addfile(info, data)


class Export(ResultProvider):
    """A store export as a provider of results."""

    def __init__(self, path: Path):
        self.path, self.name = path, path.name

    def result(self, key: str) -> Result | None:
        return self.results().get(key)

    def results(self) -> dict[str, Result]:
        """All results by key. Raises `UserError` E130 if the file is not an export."""
        return self._contents()[0]

    def has_blobs(self, result: Result) -> bool:
        members = self._contents()[1]
        return all(sha256 in members and members[sha256][1] == size for sha256, size in result.blobs.items())

    def fetch(self, sha256: str, path: Path) -> None:
        offset, size = self._contents()[1][sha256]
        with self.path.open("rb") as tar, path.open("wb") as file:
            tar.seek(offset)
            while size and (chunk := tar.read(min(size, _CHUNK))):
                file.write(chunk)
                size -= len(chunk)

    def damaged(self, sha256: str) -> UserError:
        cause = f"'{self.name}' is damaged: blob {sha256[:12]} does not match its digest"
        return UserError.of("E131", cause, "fetch the file again, or build with --no-import")

    def _contents(self) -> tuple[dict[str, Result], dict[str, tuple[int, int]]]:
        return _contents(self.path, self.path.stat().st_mtime_ns if self.path.exists() else 0)


class _SmallReads(io.FileIO):
    """A file that refuses large reads: `tarfile` reads a header in one piece, whatever size it declares."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_HEADER:
            raise tarfile.ReadError("a header is too large")
        return super().read(size)


@lru_cache(maxsize=8)
def _contents(path: Path, modified_ns: int) -> tuple[dict[str, Result], dict[str, tuple[int, int]]]:
    """The results by key, and each blob's offset and size; `modified_ns` invalidates the cache of a replaced file."""
    results: dict[str, Result] = {}
    blobs: dict[str, tuple[int, int]] = {}
    try:
        if path.exists() and not path.is_file():  # opening a FIFO would wait for a writer
            raise ValueError("it is not a regular file")
        with path.open("rb") as data, _SmallReads(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for folder, name, member in _members(tar, path.stat().st_size):
                if folder == "blobs":
                    blobs[name] = (member.offset_data, member.size)
                else:
                    data.seek(member.offset_data)
                    results[name] = _result(name, data.read(member.size))
    except Exception as error:  # a malformed archive makes tarfile raise more than its own errors
        cause = f"'{path.name}' is not a store export ({error_summary(error)})"
        raise UserError.of("E130", cause, "fetch it again, or remove it from `imports:`") from None
    return results, blobs


def _members(tar: tarfile.TarFile, file_size: int) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    """Folder, name and header of every result and blob. Raises ValueError for a member that no export contains."""
    seen: set[str] = set()
    results_size, last_offset = 0, -1
    for member in tar:
        shown = f"member {member.name!a:.100}"
        if member.issparse() or not (member.isreg() or member.isdir()):
            raise ValueError(f"{shown} is not a regular file")
        if member.size < 0 or member.offset <= last_offset or member.offset_data + member.size > file_size:
            raise ValueError(f"{shown} has an impossible size")
        last_offset = member.offset
        folder, _, name = member.name.partition("/")
        if member.isdir() or folder not in ("results", "blobs"):
            continue
        if folder == "results":
            name = name.removesuffix(".json")
            results_size += member.size
        if not is_digest(name) or member.name in seen:
            raise ValueError(f"{shown} is not named by a digest, or exists twice")
        seen.add(member.name)
        if (folder == "results" and member.size > MAX_RESULT) or results_size > _MAX_RESULTS:
            raise ValueError(f"{shown} is too large for a result")
        yield folder, name, member


def _result(key: str, data: bytes) -> Result:
    result = Result.from_json(data)
    if result.key != key:
        raise ValueError("a result is stored under another key")
    return result
