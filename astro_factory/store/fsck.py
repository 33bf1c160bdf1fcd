"""Checks and repairs a store: reads every byte again and compares every result with its key.

A **fault** is something that a build would wrongly trust or fail on: a blob that does not match its digest, an edited
result, a torn item. A repair removes it, so that its stage is no longer a hit and the next build runs it again. A
**leftover** comes from a killed process and is harmless. A result without its files is neither: imports and `gc` leave
such results.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from astro_factory.core.canonical import file_digest
from astro_factory.core.files import kind_of
from astro_factory.core.results import Result, is_digest
from astro_factory.store.files import TEMP_PREFIX, files_below, last_change, remove, same_file, write_atomic
from astro_factory.store.items import ITEMS, listed_items, value_of
from astro_factory.store.store import Store
from astro_factory.store.transfer import Validate

_ABANDONED_S = 3600.0
"""A temporary file that did not change for so long has no writer any more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and how it was repaired."""

    kind: str
    """`blob`, `result`, `items`, `item`, `output` or `head`; for leftovers also `torn` or `staging`."""
    path: Path
    cause: str
    healed: str = ""
    """What the repair did; empty without `repair`."""

    def as_json(self) -> dict[str, object]:
        return {"kind": self.kind, "path": str(self.path), "cause": self.cause, "healed": self.healed}


@dataclass
class FsckReport:
    """What a check read and found."""

    counts: dict[str, int] = field(default_factory=dict)
    """The number of `blobs`, `results`, `outputs` and `items` read, the `bytes` of the blobs, and the number of results
    `without_files`."""
    faults: list[Fault] = field(default_factory=list)
    leftovers: list[Fault] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is no fault, or all are repaired."""
        return all(fault.healed for fault in self.faults)

    def as_json(self) -> dict[str, object]:
        return {
            "ok": self.ok,
            "checked": self.counts,
            "faults": [fault.as_json() for fault in self.faults],
            "leftovers": [fault.as_json() for fault in self.leftovers],
        }


def fsck(store: Store, validate: Validate = lambda result, files: None, *, repair: bool = False) -> FsckReport:
    """Check the whole store. Safe during a build: files that appear or disappear meanwhile are ignored.

    `validate` checks the output of each result; an earlier version may have imported one that no stage can read.
    """
    report = FsckReport({"bytes": 0})
    results = list(_results(store, report, repair))
    _item_lists(store, report, repair)
    _special_files(store, report, repair)
    _blobs(store, results, report, repair)
    _unusable(store, results, validate, report, repair)
    _outputs(store, results, report, repair)
    _items(store, report, repair)
    _heads(store, report, repair)
    report.leftovers += _leftovers(store, repair)
    present = [result for result in results if store.result_path(result.key).exists()]
    report.counts["without_files"] = sum(not store.has_blobs(result) for result in present)
    return report


def _results(store: Store, report: FsckReport, repair: bool) -> Iterator[Result]:
    count = 0
    for path in sorted((store.root / "results").glob("*/[!.]*.json")):
        with suppress(FileNotFoundError):
            count += 1
            try:
                yield _checked_result(store, path)
            except ValueError as error:
                healed = _removed(path) if repair else ""
                report.faults.append(Fault("result", path, f"cannot be trusted: {error}", healed))
    report.counts["results"] = count


def _checked_result(store: Store, path: Path) -> Result:
    """The result in a file. Raises ValueError if it cannot be trusted."""
    if not path.is_file() and os.path.lexists(path):
        raise ValueError("it is not a regular file")
    result = Result.from_json(path.read_bytes())
    if store.result_path(result.key) != path:
        raise ValueError("it is stored under another key")
    return result


def _item_lists(store: Store, report: FsckReport, repair: bool) -> None:
    for path in sorted((store.root / "results").glob(f"*/[!.]*{ITEMS}")):
        items, sound = listed_items(path)
        if not sound:
            healed = ""
            if repair:
                remove(path)
                write_atomic(path, "".join(f"{item}\n" for item in sorted(filter(is_digest, items))).encode())
                healed = "kept the lines that are keys"
            report.faults.append(Fault("items", path, "lists something that is not the key of an item", healed))


def _special_files(store: Store, report: FsckReport, repair: bool) -> None:
    """Report what lies in the place of a blob or an item and is no file: reading a FIFO or a device would not end."""
    for kind in ("blob", "item"):
        for path in sorted((store.root / f"{kind}s").glob("*/*")):
            if kind_of(path) != "file" and os.path.lexists(path):
                healed = _removed(path) if repair else ""
                report.faults.append(Fault(kind, path, "is not a regular file", healed))


def _blobs(store: Store, results: list[Result], report: FsckReport, repair: bool) -> None:
    """Read every blob. A repair quarantines a damaged one with the results that use it, so their stages run again."""
    paths = list(files_below(store.root / "blobs"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, (digest, size) in zip(paths, pool.map(_read, paths), strict=True):
            report.counts["bytes"] += size
            named = store.blob_path(path.name) == path
            if digest is None or (named and digest == path.name):
                continue
            owners = [r for r in results if any(entry["sha256"] == path.name for entry in r.outputs.values())]
            cause = f"does not match its digest; it is part of {_names(owners)}"
            healed = ""
            if repair and named:
                healed = f"moved to {store.quarantine(path.name, owners)}"
            elif repair:
                healed = _removed(path)
            report.faults.append(Fault("blob", path, cause, healed))
    report.counts["blobs"] = len(paths)


def _names(results: list[Result]) -> str:
    return ", ".join(f"{result.record.get('kind')} {result.key[:12]}" for result in results) or "no result"


def _unusable(store: Store, results: list[Result], validate: Validate, report: FsckReport, repair: bool) -> None:
    """Validate the outputs whose files are intact, or of which only the names are in the store."""
    damaged = {fault.path for fault in report.faults if fault.kind == "blob"}
    for result in results:
        blobs = {name: store.blob_path(entry["sha256"]) for name, entry in result.outputs.items()}
        if damaged.isdisjoint(blobs.values()) and (
            fault := validate(result, {name: blob for name, blob in blobs.items() if blob.is_file()})
        ):
            path = store.result_path(result.key)
            healed = _removed(path) if repair else ""
            report.faults.append(Fault("result", path, f"cannot be used: {fault}", healed))


def _outputs(store: Store, results: list[Result], report: FsckReport, repair: bool) -> None:
    """Read the output files that are copies; links to blobs are checked with the blobs."""
    count = 0
    for result in results:
        folder = store.root / "outputs" / result.key
        for name, entry in result.outputs.items():
            path = folder / name
            if not path.is_file():
                continue
            count += 1
            if not same_file(path, store.blob_path(entry["sha256"])) and _read(path)[0] not in (None, entry["sha256"]):
                healed = _removed(path) if repair else ""
                report.faults.append(Fault("output", path, "does not match its blob", healed))
    report.counts["outputs"] = count


def _items(store: Store, report: FsckReport, repair: bool) -> None:
    paths = list(files_below(store.root / "items"))
    for path in paths:
        with suppress(FileNotFoundError):
            if value_of(path.read_bytes()) is None:
                healed = _removed(path) if repair else ""
                report.faults.append(Fault("item", path, "does not match its digest line", healed))
    report.counts["items"] = len(paths)


def _heads(store: Store, report: FsckReport, repair: bool) -> None:
    """A repair keeps the keys that have results, because `gc` keeps the results that the heads list."""
    for path in sorted((store.root / "heads").glob("[!.]*.json")):
        history, intact = store.read_heads(path.stem)
        if not intact:
            sound = {
                name: found for name, keys in history.items() if (found := [key for key in keys if _exists(store, key)])
            }
            healed = ""
            if repair:
                healed = _removed(path)
                if sound:
                    store.write_heads(path.stem, sound)
                    healed = "kept the keys that have results"
            cause = "was changed after it was written" if history else "cannot be read"
            report.faults.append(Fault("head", path, cause, healed))
        heads = store.heads(path.stem)
        if lost := sorted(name for name, key in heads.items() if not _exists(store, key)):
            report.leftovers.append(Fault("head", path, f"the results of {', '.join(lost)} are gone"))


def _exists(store: Store, key: str) -> bool:
    return is_digest(key) and store.result_path(key).exists()


def _leftovers(store: Store, repair: bool) -> Iterator[Fault]:
    """Unfinished files of killed processes and staging folders of finished stages that no running build can need."""
    folders = [store.root / name for name in ("blobs", "results", "items", "outputs", "heads")]
    torn = [path for folder in folders for path in folder.rglob(f"{TEMP_PREFIX}*")]
    for path in sorted([*torn, *(store.root / "staging").glob(f"{TEMP_PREFIX}*")]):
        if time.time() - last_change(path) > _ABANDONED_S:
            yield Fault("torn", path, "a killed process was writing it", _removed(path) if repair else "")
    for path in sorted((store.root / "staging").glob("[!.]*")):
        if not store.result_path(path.name).exists():
            continue  # the work of a killed stage, which can resume from it
        with store.try_lock(path.name) as locked:
            if locked and path.exists():
                yield Fault("staging", path, "its stage is finished", _removed(path) if repair else "")


def _read(path: Path) -> tuple[str | None, int]:
    """A file's digest and size; no digest if the file has disappeared."""
    try:
        return file_digest(path), path.stat().st_size
    except FileNotFoundError:
        return None, 0


def _removed(path: Path) -> str:
    remove(path)
    return "removed"
