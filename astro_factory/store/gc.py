"""Collecting what nobody needs any more: mark from the roots, sweep the rest.

Kept are the results that are roots (the last keys of each stage of each spec, under `heads/`) and those that were made
or looked at within the grace time; the blobs, items, outputs and logs of these; the items of unfinished work. What
belongs to no result stays for the grace time. The grace time reaches back at least to the beginning of the oldest build
that is running, so nothing goes that a build made or decided to use.
"""

import time
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astro_factory.core.results import Result, is_digest
from astro_factory.store import store_locks
from astro_factory.store.files import changed, remove
from astro_factory.store.items import ITEMS
from astro_factory.store.store import GRACE_DAYS, KEEP_LAST, Store

_DAY_S = 86_400.0


@dataclass
class BlobCount:
    """What stays and what goes of one folder of the store."""

    kept: int = 0
    collected: int = 0
    bytes: int = 0
    """Size of what goes."""


@dataclass
class Collected:
    """What a collection found, by folder of the store."""

    deleted: bool
    builds: int
    """How many builds were running."""
    folders: dict[str, BlobCount] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(count.bytes for count in self.folders.values())

    def as_json(self) -> dict[str, Any]:
        folders = {name: vars(count) for name, count in self.folders.items()}
        return {"deleted": self.deleted, "builds": self.builds, "bytes": self.bytes, "folders": folders}


def gc(store: Store, *, grace_days: float = GRACE_DAYS, keep_last: int = KEEP_LAST, delete: bool = False) -> Collected:
    """Find what nobody needs, and delete it if told to.

    Args:
        grace_days: How long something stays after it was last made or used, whether or not a root needs it.
        keep_last: How many of the last keys of each stage of a spec are roots.
    """
    with store_locks.alone(store.root / "locks"):
        began = store_locks.running_since(store.root / "locks")
        cutoff = min([time.time() - grace_days * _DAY_S, *began])
        found = Collected(delete, len(began))
        keys, blobs, items = _marked(store, cutoff, keep_last)
        doomed: list[Path] = []
        # in this order: results before their blobs, so that a kill leaves a sound store
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
            found.folders[folder], unneeded = _divided(store.root / folder, pattern, needed, cutoff)
            doomed += unneeded
        if delete:
            for path in doomed:  # all were chosen before the first goes: to unlink a name is to change its other names
                _delete(store, path)
    return found


def _marked(store: Store, cutoff: float, keep_last: int) -> tuple[set[str], set[str], set[str]]:
    """The keys, blobs and items that are needed."""
    keys, blobs, items = set(), set(), set()
    for path in (store.root / "heads").glob("*.json"):
        for history in store.history(path.stem).values():
            keys.update(history[:keep_last])
    for path in (store.root / "results").glob("*/*.json"):
        if path.stem in keys or changed(path) >= cutoff:
            keys.add(path.stem)
            items |= _listed(path.with_suffix(ITEMS))
            with suppress(FileNotFoundError, ValueError):  # one that cannot be read holds nothing; `fsck` tells of it
                blobs.update(entry["sha256"] for entry in Result.from_json(path.read_bytes()).outputs.values())
    for path in (store.root / "staging").glob("*"):
        if changed(path) >= cutoff:
            items |= _listed(path / ITEMS)
    return keys, blobs, items


def _listed(path: Path) -> set[str]:
    return set(path.read_text().split()) if path.exists() else set()


def _divided(folder: Path, pattern: str, needed: Container[str], cutoff: float) -> tuple[BlobCount, list[Path]]:
    """What is in a folder, counted, and what of it is neither needed nor young."""
    count, unneeded = BlobCount(), []
    for path in sorted(folder.glob(pattern)):
        name = path.name.partition(".")[0]
        if folder.name == "locks" and not is_digest(name):
            continue  # of the store itself
        if name in needed or changed(path) >= cutoff:
            count.kept += 1
            continue
        unneeded.append(path)
        count.collected += 1
        count.bytes += sum(file.lstat().st_size for file in (path, *path.rglob("*")) if not file.is_dir())
    return count, unneeded


def _delete(store: Store, path: Path) -> None:
    """Delete what nobody holds. A builder that waits for a lock whose file is gone takes a new one."""
    key = path.name.partition(".")[0]
    if path.parent.name in ("staging", "locks") and is_digest(key):
        with store.free(key) as free:
            if free:
                remove(path)
    else:
        remove(path)
