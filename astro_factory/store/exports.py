"""Store exports: results and blobs in one tar file, so that a costly stage can travel as a cache hit.

The results of everything upstream come along without their blobs: they give the digests that the exported stage's key
is made of. Members are sorted and carry no times, so equal exports are equal bytes.
"""

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from astro_factory.core.canonical import file_digest
from astro_factory.core.errors import UserError
from astro_factory.core.results import Result
from astro_factory.store.files import TORN
from astro_factory.store.store import Store


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


def read_export(path: Path) -> dict[str, Result]:
    """The results an export offers, by key."""
    return _contents(path, path.stat().st_mtime_ns)[0]


def has_blobs(path: Path, result: Result) -> bool:
    """Whether the export holds every blob of a result."""
    return {entry["sha256"] for entry in result.outputs.values()} <= _contents(path, path.stat().st_mtime_ns)[1]


@lru_cache(maxsize=8)
def _contents(path: Path, changed: int) -> tuple[dict[str, Result], frozenset[str]]:
    """The results by key and the digests of the blobs; `changed` makes a replaced file another one."""
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
    blobs = frozenset(member.name.removeprefix("blobs/") for member in members if member.name.startswith("blobs/"))
    return {result.key: result for result in results}, blobs


def import_result(store: Store, path: Path, result: Result) -> None:
    """Take a result, and those of its blobs that the export holds, into the store; every blob is checked.

    Raises `UserError` E131 for a damaged export; then the result is not taken.
    """
    offered = _contents(path, path.stat().st_mtime_ns)[1]
    staging = store.root / "staging"
    staging.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "r:") as tar, tempfile.TemporaryDirectory(dir=staging, prefix=TORN) as folder:
        for sha256 in sorted({entry["sha256"] for entry in result.outputs.values()} & offered):
            temporary = Path(folder) / sha256
            try:
                with temporary.open("wb") as file:
                    shutil.copyfileobj(tar.extractfile(f"blobs/{sha256}"), file)
                intact = file_digest(temporary) == sha256
            except tarfile.TarError:
                intact = False
            if not intact:
                cause = f"'{path.name}' is damaged: blob {sha256[:12]} does not match its digest"
                raise UserError.of("E131", cause, "fetch the file again, or build with --no-import")
            store.add_blob(temporary, sha256)
    store.put_result(result)
