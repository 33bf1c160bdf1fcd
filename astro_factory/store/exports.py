"""Store exports: results and blobs in one tar file, so that a costly stage can travel as a cache hit.

The results of everything upstream come along without their blobs: they give the digests that the exported stage's key
is made of. Members are sorted and carry no times, so equal exports are equal bytes.
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
from astro_factory.store.files import TORN
from astro_factory.store.store import Store

_CHUNK = 1 << 20


def write_export(store: Store, path: Path, whole: Iterable[Result], records_only: Iterable[Result]) -> int:
    """Write results with their blobs, and results alone; returns the file's size in bytes."""
    whole, records_only = list(whole), list(records_only)
    path.parent.mkdir(parents=True, exist_ok=True)
    results = {result.key: result for result in (*whole, *records_only)}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=TORN) as folder:
        temporary = Path(folder) / path.name
        with tarfile.open(temporary, "w") as tar:
            for key in sorted(results):
                data = results[key].as_json()
                _add(tar, f"results/{key}.json", io.BytesIO(data), len(data))
            for sha256 in sorted({e["sha256"] for result in whole for e in result.outputs.values()}):
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
    """A store export as a place that offers results."""

    def __init__(self, path: Path):
        self.path, self.name = path, path.name

    def result(self, key: str) -> Result | None:
        return self.results().get(key)

    def results(self) -> dict[str, Result]:
        """All it offers, by key. Raises `UserError` E130 for a file that is no export."""
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
def _contents(path: Path, changed: int) -> tuple[dict[str, Result], dict[str, tuple[int, int]]]:
    """The results by key, and where each blob lies; `changed` makes a replaced file another one."""
    try:
        with tarfile.open(path, "r:") as tar:
            members = tar.getmembers()
            results = [
                Result.from_json(tar.extractfile(member).read())
                for member in members
                if member.name.startswith("results/")
            ]
    except (OSError, tarfile.TarError, ValueError) as error:
        cause = f"'{path.name}' is no store export ({error})"
        raise UserError.of("E130", cause, "fetch it again, or remove it from `imports:`") from None
    blobs = {m.name.removeprefix("blobs/"): (m.offset_data, m.size) for m in members if m.name.startswith("blobs/")}
    return {result.key: result for result in results}, blobs
