"""Garbage collection of a store: marks from the roots and sweeps the rest.

It keeps the results that are roots (the last keys of each stage of each spec, under `heads/`) and those that were made
or used within the grace time; the blobs, items, outputs and logs of these results; and the items of unfinished work.
Files that belong to no result stay for the grace time. While the heads of a spec are damaged, every result is a root.
The grace time reaches back at least to the start of the oldest running build, so nothing is deleted that a build made
or decided to use.
"""

import time
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path

from astro_factory.core.results import is_digest
from astro_factory.store import store_locks
from astro_factory.store.files import last_change, remove
from astro_factory.store.items import ITEMS, listed_items
from astro_factory.store.store import GRACE_DAYS, KEEP_LAST, Store, read_result

_DAY_S = 86_400.0


@dataclass
class FolderCount:
    """The entries of one folder of the store."""

    kept: int = 0
    collected: int = 0
    bytes: int = 0
    """Size of what is collected."""


@dataclass
class GcReport:
    """What a collection found, by folder of the store."""

    deleted: bool
    builds: int
    """Number of running builds."""
    folders: dict[str, FolderCount] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(count.bytes for count in self.folders.values())

    def as_json(self) -> dict[str, object]:
        folders = {name: vars(count) for name, count in self.folders.items()}
        return {"deleted": self.deleted, "builds": self.builds, "bytes": self.bytes, "folders": folders}


def gc(store: Store, *, grace_days: float = GRACE_DAYS, keep_last: int = KEEP_LAST, delete: bool = False) -> GcReport:
    """Find garbage and, if `delete`, delete it.

    Args:
        grace_days: How long to keep everything after its last use, whether or not a root needs it.
        keep_last: How many of the last keys of each stage of a spec are roots.
    """
    with store_locks.gc_lock(store.root / "locks"):
        started = store_locks.build_start_times(store.root / "locks")
        cutoff = min([time.time() - grace_days * _DAY_S, *started])
        found = GcReport(delete, len(started))
        keys, blobs, items = _marked(store, cutoff, keep_last)
        garbage: list[Path] = []
        # results before their blobs, so that the store stays consistent if this process is killed
        for folder, pattern, needed in (
            ("results", "*/*", keys),
            ("blobs", "*/*", blobs),
            ("items", "*/*", items),
            ("outputs", "*", keys),
            ("logs", "*", keys),
            ("staging", "*", ()),
            ("damaged", "*", ()),
            ("locks", "*.lock", ()),
        ):
            found.folders[folder], unneeded = _partition(store.root / folder, pattern, needed, cutoff)
            garbage += unneeded
        if delete:
            for (
                path
            ) in garbage:  # chosen before the first deletion: unlinking a hard link changes the ctime of the others
                _delete(store, path)
    return found


def _marked(store: Store, cutoff: float, keep_last: int) -> tuple[set[str], set[str], set[str]]:
    """The keys, blobs and items to keep."""
    keys, blobs, items = set(), set(), set()
    for path in (store.root / "heads").glob("*.json"):
        histories, intact = store.read_heads(path.stem)
        for history in histories.values():
            keys.update(history[:keep_last])
        if not intact:  # any result may be a root
            keys.update(result.stem for result in (store.root / "results").glob("*/*.json"))
    for path in (store.root / "results").glob("*/*.json"):
        if path.stem in keys or last_change(path) >= cutoff:
            keys.add(path.stem)
            items |= listed_items(path.with_suffix(ITEMS))[0]
            if result := read_result(path):  # an unreadable result keeps no blobs; `fsck` reports it
                blobs.update(result.blobs)
    for path in (store.root / "staging").glob("*"):
        if last_change(path) >= cutoff:
            items |= listed_items(path / ITEMS)[0]
    return keys, blobs, items


def _partition(folder: Path, pattern: str, needed: Container[str], cutoff: float) -> tuple[FolderCount, list[Path]]:
    """The counts of a folder, and its entries that are neither needed nor recent."""
    count, unneeded = FolderCount(), []
    for path in sorted(folder.glob(pattern)):
        name = path.name.partition(".")[0]
        if folder.name == "locks" and not is_digest(name):
            continue  # a lock of the store itself
        if name in needed or last_change(path) >= cutoff:
            count.kept += 1
            continue
        unneeded.append(path)
        count.collected += 1
        count.bytes += sum(file.lstat().st_size for file in (path, *path.rglob("*")) if not file.is_dir())
    return count, unneeded


def _delete(store: Store, path: Path) -> None:
    """Delete an entry unless a builder holds its lock. A builder that waits for a deleted lock file makes a new one."""
    key = path.name.partition(".")[0]
    if path.parent.name in ("staging", "locks") and is_digest(key):
        with store.try_lock(key) as locked:
            if locked:
                remove(path)
    else:
        remove(path)
