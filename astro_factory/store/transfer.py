"""Copies results from a provider into the store; every blob is checked against its digest."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from astro_factory.core.canonical import file_digest
from astro_factory.core.results import Result, ResultProvider
from astro_factory.store.files import TEMP_PREFIX
from astro_factory.store.store import Store

Validate = Callable[[Result, Mapping[str, Path]], str | None]
"""Why the output of a result cannot be used, given the files that are available by name, or None."""


def import_result(
    store: Store, provider: ResultProvider, result: Result, validate: Validate, *, with_files: bool = True
) -> None:
    """Copy a result into the store and, `with_files`, those of its blobs that the store lacks.

    Raises `UserError` if a blob is unavailable or damaged, or the output fails validation; then nothing is imported.
    """
    sizes = result.blobs if with_files else {}
    staging = store.root / "staging"
    staging.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=staging, prefix=TEMP_PREFIX) as folder:
        fetched: dict[str, Path] = {}
        while True:
            with store.gc_paused():
                missing = [sha for sha, size in sizes.items() if sha not in fetched and not store.has_blob(sha, size)]
                if not missing:
                    files = {
                        name: fetched.get(entry["sha256"]) or store.blob_path(entry["sha256"])
                        for name, entry in (result.outputs.items() if with_files else ())
                    }
                    if fault := validate(result, files):
                        raise provider.reject(result.key, fault, planned=True)
                    for sha256, path in fetched.items():
                        store.add_blob(path, sha256)
                    return store.put_result(result)
            for sha256 in sorted(missing):
                fetched[sha256] = Path(folder) / sha256
                provider.fetch(sha256, fetched[sha256])
                if fetched[sha256].stat().st_size != sizes[sha256] or file_digest(fetched[sha256]) != sha256:
                    raise provider.damaged(sha256)
