"""Store exports: results and blobs in one tar file, which turns a costly stage into a cache hit elsewhere.

An export includes the results of everything upstream without their blobs, because the exported stage's key depends on
their digests. Members are sorted and have no times, so equal exports are equal bytes.
"""

import io
import tarfile
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from astro_factory.core.errors import UserError
from astro_factory.core.results import Result, ResultProvider
from astro_factory.store.files import TEMP_PREFIX
from astro_factory.store.store import Store

_CHUNK = 1 << 20


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
        return {entry["sha256"] for entry in result.outputs.values()} <= self._contents()[1].keys()

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


@lru_cache(maxsize=8)
def _contents(path: Path, modified_ns: int) -> tuple[dict[str, Result], dict[str, tuple[int, int]]]:
    """The results by key, and each blob's offset and size; `modified_ns` invalidates the cache of a replaced file."""
    results: dict[str, Result] = {}
    blobs: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar.getmembers():
                folder, _, name = member.name.partition("/")
                if folder == "results" and (file := tar.extractfile(member)):
                    result = Result.from_json(file.read())
                    results[result.key] = result
                elif folder == "blobs":
                    blobs[name] = (member.offset_data, member.size)
    except (OSError, tarfile.TarError, ValueError) as error:
        cause = f"'{path.name}' is not a store export ({error})"
        raise UserError.of("E130", cause, "fetch it again, or remove it from `imports:`") from None
    return results, blobs
