"""Store exports: results and blobs in one tar file, so that a costly stage can travel as a cache hit.

The results of everything upstream come along without their blobs: they give the digests that the exported stage's key is
made of. Members are sorted and carry no times, so equal exports are equal bytes.
"""

import io
import json
import tarfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from astro_factory.core.canonical import file_digest
from astro_factory.core.errors import UserError
from astro_factory.core.results import Result
from astro_factory.store.store import Store


def write_export(store: Store, path: Path, whole: Iterable[Result], records_only: Iterable[Result]) -> int:
    """Write results with their blobs, and results alone; returns the file's size in bytes."""
    whole, records_only = list(whole), list(records_only)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        results = {result.key: result for result in (*whole, *records_only)}
        for key in sorted(results):
            portable = Result(key, results[key].record, results[key].outputs, results[key].provenance)
            _add(tar, f"results/{key}.json", portable.as_json())
        for sha256 in sorted({e["sha256"] for result in whole for e in result.outputs.values()}):
            _add(tar, f"blobs/{sha256}", store.blob_path(sha256).read_bytes())
    return path.stat().st_size


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


@lru_cache(maxsize=8)
def read_export(path: Path) -> dict[str, Result]:
    """The results an export offers, by key."""
    try:
        with tarfile.open(path) as tar:
            return {
                result.key: result
                for member in tar
                if member.name.startswith("results/")
                for result in [Result(**json.load(tar.extractfile(member)))]
            }
    except (tarfile.TarError, KeyError, ValueError, TypeError) as error:
        cause = f"'{path.name}' is no store export ({error})"
        raise UserError.of("E130", cause, "export it again with `astro-factory export`") from None


def has_blobs(path: Path, result: Result) -> bool:
    """Whether the export holds every blob of a result."""
    return {entry["sha256"] for entry in result.outputs.values()} <= _blob_names(path)


@lru_cache(maxsize=8)
def _blob_names(path: Path) -> frozenset[str]:
    with tarfile.open(path) as tar:
        return frozenset(name.removeprefix("blobs/") for name in tar.getnames() if name.startswith("blobs/"))


def import_result(store: Store, path: Path, result: Result) -> None:
    """Take a result, and those of its blobs that the export holds, into the store; every blob is checked."""
    wanted = {entry["sha256"] for entry in result.outputs.values()} & _blob_names(path)
    staging = store.root / "staging"
    staging.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path) as tar:
        for sha256 in wanted:
            if store.blob_path(sha256).exists():
                continue
            temporary = staging / f"import-{sha256}"
            temporary.write_bytes(tar.extractfile(f"blobs/{sha256}").read())
            if file_digest(temporary) != sha256:
                temporary.unlink()
                raise UserError.of(
                    "E131",
                    f"'{path.name}' is damaged: blob {sha256[:12]} does not match its digest",
                    "fetch the file again, or build with --no-import",
                )
            store.add_blob(temporary, sha256)
            temporary.unlink()
    store.put_result(result)
