"""Blobs, results and items in one folder.

    blobs/ab/abcd…        bytes by SHA-256, read-only
    results/ab/abcd….json a stage run by its key: the record, its outputs' digests, its provenance
    items/ab/abcd…        one item's result within a stage
    outputs/<key>/        an output under its own file names, hard links to blobs
    staging/<key>/        what a running or killed stage left
    locks/<key>.lock      one builder a key
    locks/items           one maker an item: claims lock its bytes
    logs/, costs/         what a stage said when it ran last, and what its kind took
    damaged/              what `fsck` took out of the way
    heads/<spec>.json     the last keys of each stage of a spec: roots, and what `explain` compares with

A result lies beside `<key>.items`, the items that its stage used, and the time of its file is that of its last use.

Invariant: a result file is written last, after every blob it names is on disk.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astro_factory.core.canonical import file_digest
from astro_factory.core.results import Result
from astro_factory.store import store_locks
from astro_factory.store.files import STAMP_NS, files_below, place_file, same_file, sync, write_atomic
from astro_factory.store.items import ITEMS, StoredItems

if TYPE_CHECKING:
    from filelock import FileLock

KEEP_LAST = 5
"""How many keys of a stage its heads remember, so that `gc` keeps them."""
GRACE_DAYS = 7.0
"""How long `gc` keeps what was made or used, whoever needs it."""
_MOMENT_S = 1.0
"""A stage that took less may run again after a power cut."""


class Store:
    """One store folder; safe for several builders at once."""

    def __init__(self, root: Path):
        self.root = root

    def _fan(self, kind: str, name: str, suffix: str = "") -> Path:
        return self.root / kind / name[:2] / (name + suffix)

    def blob_path(self, sha256: str) -> Path:
        return self._fan("blobs", sha256)

    def result_path(self, key: str) -> Path:
        return self._fan("results", key, ".json")

    def add_blob(self, path: Path, sha256: str | None = None) -> str:
        """Take a file into the store by hard link where possible; returns its digest.

        A blob that is there already is read before it is believed, so that running a stage again heals what it wrote.
        """
        sha256 = sha256 or file_digest(path)
        blob = self.blob_path(sha256)
        if blob.exists() and not same_file(path, blob) and file_digest(blob) != sha256:
            self.quarantine(sha256)
        if not blob.exists():
            place_file(path, blob)
        return sha256

    def quarantine(self, sha256: str, results: Iterable[Result] = ()) -> Path:
        """Move a damaged blob, and results that name it, to `damaged/`; returns where the blob lies.

        What shows the blob below `outputs/` is the same file, so it goes.
        """
        blob, folder = self.blob_path(sha256), self.root / "damaged"
        for path in files_below(self.root / "outputs"):
            if same_file(path, blob):
                path.unlink()
        folder.mkdir(exist_ok=True)
        for path in (*(self.result_path(result.key) for result in results), blob):
            with suppress(FileNotFoundError):  # somebody else was faster, or it was moved with another blob
                path.replace(folder / path.name)
        return folder / sha256

    def result(self, key: str) -> Result | None:
        """The result of a key, whether or not its blobs are here; one that cannot be read is none.

        To look at a result is to use it, for `gc`.
        """
        path = self.result_path(key)
        if result := _read(path):
            with suppress(OSError):  # a store of somebody else
                os.utime(path)
        return result

    def results(self) -> Iterator[Result]:
        """Every result that can be read, by key. To go through all of them is not to use them."""
        for path in sorted((self.root / "results").glob("*/*.json")):
            if result := _read(path):
                yield result

    def has_blobs(self, result: Result) -> bool:
        """Whether every blob of a result is here, as far as its size and time tell."""
        return all(self.has_blob(entry["sha256"], entry["size"]) for entry in result.outputs.values())

    def has_blob(self, sha256: str, size: int) -> bool:
        """Whether a blob has its size and nobody wrote to it; one with another time is read, and then has its own."""
        blob = self.blob_path(sha256)
        try:
            found = blob.stat()
        except FileNotFoundError:
            return False
        if found.st_size != size or found.st_mtime_ns == STAMP_NS:
            return found.st_size == size
        intact = file_digest(blob) == sha256
        if intact:
            with suppress(OSError):  # a store of somebody else
                os.utime(blob, ns=(STAMP_NS, STAMP_NS))
        return intact

    def commit(
        self,
        key: str,
        record: Mapping[str, Any],
        folder: Path,
        provenance: Mapping[str, Any],
        items: Path | None = None,
    ) -> Result:
        """Take a staging folder's files as the output of a key; the result file comes last.

        `items` is the list of the items that the stage used, where it used any.
        """
        outputs = {}
        with self.steady():
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                name = path.relative_to(folder).as_posix()
                outputs[name] = {"sha256": self.add_blob(path), "size": path.stat().st_size}
            result = Result(key, record, outputs, provenance)
            if items and items.exists():
                write_atomic(self.result_path(key).with_suffix(ITEMS), items.read_bytes(), durable=False)
            self.put_result(result)
        return result

    def put_result(self, result: Result) -> None:
        """Write a result, once those of its blobs that are here are on disk.

        Whether the result itself is on disk is waited for where it is worth the wait: a torn one reads as none, so what
        a power cut costs is to run a stage of a moment again.
        """
        for sha256 in sorted({entry["sha256"] for entry in result.outputs.values()}):
            with suppress(FileNotFoundError):
                sync(self.blob_path(sha256))
        seconds = result.provenance.get("seconds")
        quick = isinstance(seconds, float | int) and seconds < _MOMENT_S
        write_atomic(self.result_path(result.key), result.as_json(), durable=not quick)

    def output(self, result: Result) -> Path:
        """A folder that shows an output under its own file names; a file that was replaced there is shown anew."""
        folder = self.root / "outputs" / result.key
        for name, entry in result.outputs.items():
            path, blob = folder / name, self.blob_path(entry["sha256"])
            if not _same_file(path, blob):
                place_file(blob, path)
        return folder

    def staging(self, key: str) -> Path:
        return self.root / "staging" / key

    def lock(self, key: str) -> "FileLock":
        """One builder a key; two builds share the work."""
        from filelock import FileLock

        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{key}.lock")

    @contextmanager
    def free(self, key: str) -> Iterator[bool]:
        """Whether no builder holds the lock of a key; if so, none can take it until the block ends."""
        from filelock import Timeout

        try:
            with self.lock(key).acquire(timeout=0):
                yield True
        except Timeout:
            yield False

    def building(self) -> AbstractContextManager[None]:
        """Be known as a running build: what it makes or looks at until the block ends is not collected."""
        return store_locks.building(self.root / "locks")

    def steady(self) -> AbstractContextManager[None]:
        """Let nothing be collected until the block ends: between finding a result and using it, say."""
        return store_locks.steady(self.root / "locks")

    def history(self, spec: str) -> dict[str, list[str]]:
        """Stage name to the keys of its last builds, the newest first."""
        try:
            found = json.loads((self.root / "heads" / f"{spec}.json").read_bytes())
            return {name: [keys] if isinstance(keys, str) else list(keys) for name, keys in found.items()}
        except (FileNotFoundError, ValueError, AttributeError, TypeError):
            return {}

    def heads(self, spec: str) -> dict[str, str]:
        """Stage name to key, of the spec's last build."""
        return {name: keys[0] for name, keys in self.history(spec).items() if keys}

    def remember(self, spec: str, keys: Mapping[str, str]) -> None:
        """Make keys the heads of their stages; what was not built this time stays as it was."""
        if keys.items() <= self.heads(spec).items():
            return
        with self.lock(f"heads-{spec}"):
            history = self.history(spec)
            for name, key in keys.items():
                older = [other for other in history.get(name, []) if other != key]
                history[name] = [key, *older][:KEEP_LAST]
            write_atomic(self.root / "heads" / f"{spec}.json", json.dumps(history, indent=1, sort_keys=True).encode())

    def items(self) -> StoredItems:
        return StoredItems(self.root / "items")


def _read(path: Path) -> Result | None:
    try:
        return Result.from_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _same_file(path: Path, blob: Path) -> bool:
    """Whether a file is a link to a blob, or a copy of it that nobody has touched."""
    try:
        one, other = path.stat(), blob.stat()
    except FileNotFoundError:
        return False
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
