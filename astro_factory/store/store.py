"""Blobs, results and items in one folder.

    blobs/ab/abcd…        bytes by SHA-256, read-only
    results/ab/abcd….json a stage run by its key: the record, its outputs' digests, its provenance
    items/ab/abcd…        one item's result within a stage
    outputs/<key>/        an output under its own file names, as hard links to blobs
    staging/<key>/        the work of a running or killed stage
    locks/<key>.lock      at most one builder per key
    locks/items           at most one process per item (`item_locks`)
    builds/<id>.jsonl     the events of a running build (`runtime.journal`)
    logs/, costs/         the log of each key's last run, the cost history of each kind
    damaged/              what `fsck` quarantined
    heads/<spec>.json     the last keys of each stage of a spec: roots for `gc`, and what `explain` compares with

Beside a result, `<key>.items` lists the items that its stage used. The mtime of a result file is the time of its last
use.

Invariant: a result file is written last, after every blob it names is on disk.
"""

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from astro_factory.core.canonical import digest, file_digest
from astro_factory.core.errors import UserError, shown
from astro_factory.core.files import kind_of
from astro_factory.core.results import OutputFile, Provenance, Record, Result
from astro_factory.store import store_locks
from astro_factory.store.files import BLOB_MTIME_NS, files_below, link_or_copy, same_file, sync, write_atomic
from astro_factory.store.items import ITEMS, StoredItems

if TYPE_CHECKING:
    from filelock import FileLock

KEEP_LAST = 5
"""How many keys of each stage the heads of a spec list, so that `gc` keeps their results."""
GRACE_DAYS = 7.0
"""How long `gc` keeps everything that was made or used."""
_DIGEST_ENTRY = ""
"""No stage has this name."""
_QUICK_S = 1.0
"""The result of a quicker stage is not synced: after a power cut the stage may have to run again."""


def open_store(root: Path) -> "Store":
    """The store in a folder that exists or can be created. Raises `UserError` E178 if something else is there."""
    try:
        place = next(path for path in (root, *root.parents) if path.is_symlink() or path.exists())
        cause = "" if place.is_dir() else f"'{shown(place)}' is not a folder"
    except OSError as error:
        cause = error.strerror or str(error)
    if cause:
        raise UserError.of("E178", f"'{shown(root)}' cannot be a store: {cause}", "name a folder, new or existing")
    return Store(root)


class Store:
    """One store folder; safe to use from several processes at once."""

    def __init__(self, root: Path):
        self.root = root

    def _sharded(self, kind: str, name: str, suffix: str = "") -> Path:
        return self.root / kind / name[:2] / (name + suffix)

    def blob_path(self, sha256: str) -> Path:
        return self._sharded("blobs", sha256)

    def result_path(self, key: str) -> Path:
        return self._sharded("results", key, ".json")

    def add_blob(self, path: Path, sha256: str | None = None) -> str:
        """Add a file to the store, by hard link if possible; returns its digest.

        An existing blob is verified first, so that running a stage again repairs its damaged blobs.
        """
        sha256 = sha256 or file_digest(path)
        blob = self.blob_path(sha256)
        if os.path.lexists(blob) and not same_file(path, blob) and not _holds(blob, sha256):
            self.quarantine(sha256)
        if not blob.exists():
            link_or_copy(path, blob)
        return sha256

    def quarantine(self, sha256: str, results: Iterable[Result] = ()) -> Path:
        """Move a damaged blob, and the given results, to `damaged/`; returns the blob's new path.

        Links to the blob below `outputs/` are the same damaged file and are removed.
        """
        blob, folder = self.blob_path(sha256), self.root / "damaged"
        for path in files_below(self.root / "outputs"):
            if same_file(path, blob):
                path.unlink()
        folder.mkdir(exist_ok=True)
        for path in (*(self.result_path(result.key) for result in results), blob):
            with suppress(FileNotFoundError):  # another process was faster, or it was moved with another blob
                path.replace(folder / path.name)
        return folder / sha256

    def result(self, key: str) -> Result | None:
        """The result of a key, with or without its blobs; None if there is no readable one.

        For `gc`, reading a result counts as using it.
        """
        path = self.result_path(key)
        if result := read_result(path):
            with suppress(OSError):  # a store of another user
                os.utime(path)
        return result

    def results(self) -> Iterator[Result]:
        """Every readable result, sorted by key. For `gc`, this does not count as using them."""
        for path in sorted((self.root / "results").glob("*/*.json")):
            if result := read_result(path):
                yield result

    def has_blobs(self, result: Result) -> bool:
        """Whether every blob of a result exists and is unedited, judging by size and mtime."""
        return all(self.has_blob(entry["sha256"], entry["size"]) for entry in result.outputs.values())

    def has_blob(self, sha256: str, size: int) -> bool:
        """Whether a blob exists and is unedited. If its mtime differs, its digest decides and the mtime is restored."""
        blob = self.blob_path(sha256)
        try:
            found = blob.stat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode):
            return False
        if found.st_size != size or found.st_mtime_ns == BLOB_MTIME_NS:
            return found.st_size == size
        intact = file_digest(blob) == sha256
        if intact:
            with suppress(OSError):  # a store of another user
                os.utime(blob, ns=(BLOB_MTIME_NS, BLOB_MTIME_NS))
        return intact

    def commit(
        self,
        key: str,
        record: Record,
        folder: Path,
        provenance: Provenance,
        items: Path | None = None,
    ) -> Result:
        """Store the files of a folder as the output of a key; the result file is written last.

        `items` is the file that lists the items that the stage used, if it used any.
        """
        outputs: dict[str, OutputFile] = {}
        with self.gc_paused():
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                name = path.relative_to(folder).as_posix()
                outputs[name] = {"sha256": self.add_blob(path), "size": path.stat().st_size}
            result = Result(key, record, outputs, provenance)
            if items and items.exists():
                write_atomic(self.result_path(key).with_suffix(ITEMS), items.read_bytes(), durable=False)
            self.put_result(result)
        return result

    def put_result(self, result: Result) -> None:
        """Write a result after syncing those of its blobs that are in the store.

        The result itself is synced only if its stage was slow: a torn result counts as missing, so the worst that a
        power cut can do is to make a quick stage run again.
        """
        for sha256 in sorted({entry["sha256"] for entry in result.outputs.values()}):
            with suppress(FileNotFoundError):
                sync(self.blob_path(sha256))
        seconds = result.provenance.get("seconds")
        quick = isinstance(seconds, float | int) and seconds < _QUICK_S
        write_atomic(self.result_path(result.key), result.as_json(), durable=not quick)

    def output(self, result: Result) -> Path:
        """A folder with the files of an output under their own names; files that were replaced there are restored."""
        folder = self.root / "outputs" / result.key
        for name, entry in result.outputs.items():
            path, blob = folder / name, self.blob_path(entry["sha256"])
            if not _is_current(path, blob):
                link_or_copy(blob, path)
        return folder

    def staging(self, key: str) -> Path:
        return self.root / "staging" / key

    def lock(self, key: str) -> "FileLock":
        """The lock of a key, so that two builds share the work."""
        from filelock import FileLock

        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{key}.lock")

    @contextmanager
    def try_lock(self, key: str) -> Iterator[bool]:
        """Hold the lock of a key until the block ends; False, at once, if a builder holds it."""
        from filelock import Timeout

        try:
            with self.lock(key).acquire(timeout=0):
                yield True
        except Timeout:
            yield False

    def building(self) -> AbstractContextManager[str]:
        """Mark this process as a running build: `gc` deletes nothing that it makes or uses until the block ends.

        Its value is the id of the build, see `build_lock`."""
        return store_locks.build_lock(self.root / "locks")

    def gc_paused(self) -> AbstractContextManager[None]:
        """Let `gc` delete nothing until the block ends, for example between finding a result and using it."""
        return store_locks.gc_paused(self.root / "locks")

    def history(self, spec: str) -> dict[str, list[str]]:
        """The keys of the last builds of each stage, newest first; nothing if they cannot be read."""
        return self.read_heads(spec)[0]

    def read_heads(self, spec: str) -> tuple[dict[str, list[str]], bool]:
        """The history of a spec, and whether its file is as it was written."""
        path = self.root / "heads" / f"{spec}.json"
        try:
            return _parse_heads(path.read_bytes()) if path.is_file() else ({}, not os.path.lexists(path))
        except FileNotFoundError:
            return {}, True
        except ValueError:
            return {}, False

    def heads(self, spec: str) -> dict[str, str]:
        """The key of each stage in the spec's last build."""
        return {name: keys[0] for name, keys in self.history(spec).items() if keys}

    def update_heads(self, spec: str, keys: Mapping[str, str]) -> None:
        """Make these keys the heads of their stages; the heads of other stages stay."""
        if keys.items() <= self.heads(spec).items():
            return
        with self.lock(f"heads-{spec}"):
            history = self.history(spec)
            for name, key in keys.items():
                older = [other for other in history.get(name, []) if other != key]
                history[name] = [key, *older][:KEEP_LAST]
            self.write_heads(spec, history)

    def write_heads(self, spec: str, history: Mapping[str, list[str]]) -> None:
        """Write the keys of all stages of a spec. The entry without a name is the digest of the others."""
        table = {_DIGEST_ENTRY: digest(history), **history}
        write_atomic(self.root / "heads" / f"{spec}.json", json.dumps(table, indent=1, sort_keys=True).encode())

    def items(self) -> StoredItems:
        return StoredItems(self.root / "items")


def _holds(blob: Path, sha256: str) -> bool:
    """Whether a blob is a file with the bytes of its name; reading a FIFO would wait for a writer."""
    return kind_of(blob) == "file" and file_digest(blob) == sha256


def _parse_heads(data: bytes) -> tuple[dict[str, list[str]], bool]:
    """The history in the bytes of a heads file, and whether it is as it was written.

    Raises ValueError for bytes that are no heads file. Files of early versions have no digest and count as intact.
    """
    try:
        found = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is not an object")
    own_digest = found.pop(_DIGEST_ENTRY, None)
    history = {name: [keys] if isinstance(keys, str) else keys for name, keys in found.items()}
    if not all(isinstance(keys, list) and all(isinstance(key, str) for key in keys) for keys in history.values()):
        raise ValueError("it lists something that is not a key")
    return history, digest(history) == own_digest or own_digest is None


def read_result(path: Path) -> Result | None:
    """The result in a file of a store; None if there is no readable one."""
    if not path.is_file():  # reading a FIFO would wait for a writer
        return None
    try:
        return Result.from_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _is_current(path: Path, blob: Path) -> bool:
    """Whether a file is a link to a blob or an unedited copy of it."""
    try:
        one, other = path.stat(), blob.stat()
    except FileNotFoundError:
        return False
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
