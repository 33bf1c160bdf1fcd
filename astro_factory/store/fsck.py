"""Checking a store: every byte read again, every result against its key; and healing it.

A **fault** is something that a build would trust wrongly or stumble over: bytes that are not those of their digest, a
result that is not as it was written, a torn item. Healing takes it out of the way, so that its stage is no hit any more
and the next build makes it again. A **leftover** is what a killed process left; it harms nothing. A result without its
files is neither: imports and `gc` leave such results.
"""

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astro_factory.core.canonical import file_digest
from astro_factory.core.results import Result
from astro_factory.store.files import TORN, changed, files_below, remove, same_file
from astro_factory.store.items import value_of
from astro_factory.store.store import Store

_QUIET_S = 3600.0
"""A torn file that nobody touched for so long is nobody's any more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and what healing it did."""

    kind: str
    """`blob`, `result`, `item`, `output` or `head`."""
    path: Path
    cause: str
    healed: str = ""
    """What was done about it; nothing without `repair`."""

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "path": str(self.path), "cause": self.cause, "healed": self.healed}


@dataclass
class Checked:
    """What a check looked at and found."""

    counts: dict[str, int] = field(default_factory=dict)
    """How many `blobs`, `results`, `outputs` and `items` were read, the `bytes` of the blobs, and how many results are
    `without_files`."""
    faults: list[Fault] = field(default_factory=list)
    leftovers: list[Fault] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, or not any more."""
        return all(fault.healed for fault in self.faults)

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "checked": self.counts,
            "faults": [fault.as_json() for fault in self.faults],
            "leftovers": [fault.as_json() for fault in self.leftovers],
        }


def fsck(store: Store, *, repair: bool = False) -> Checked:
    """Read the whole store and compare. Safe beside a running build: what appears or goes meanwhile is passed over."""
    checked = Checked({"bytes": 0})
    results = list(_results(store, checked, repair))
    _blobs(store, results, checked, repair)
    _outputs(store, results, checked, repair)
    _items(store, checked, repair)
    _heads(store, checked, repair)
    checked.leftovers += _leftovers(store, repair)
    here = [result for result in results if store.result_path(result.key).exists()]
    checked.counts["without_files"] = sum(not store.has_blobs(result) for result in here)
    return checked


def _results(store: Store, checked: Checked, repair: bool) -> Iterator[Result]:
    count = 0
    for path in sorted((store.root / "results").glob("*/[!.]*.json")):
        with suppress(FileNotFoundError):
            count += 1
            try:
                result = Result.from_json(path.read_bytes())
                if store.result_path(result.key) != path:
                    raise ValueError("it lies under another key")
                yield result
            except ValueError as error:
                healed = _removed(path) if repair else ""
                checked.faults.append(Fault("result", path, f"cannot be believed: {error}", healed))
    checked.counts["results"] = count


def _blobs(store: Store, results: list[Result], checked: Checked, repair: bool) -> None:
    """Read every blob. A damaged one is set aside with the results it is part of, so that their stages run again."""
    paths = list(files_below(store.root / "blobs"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, (digest, size) in zip(paths, pool.map(_read, paths), strict=True):
            checked.counts["bytes"] += size
            named = store.blob_path(path.name) == path
            if digest is None or (named and digest == path.name):
                continue
            owners = [r for r in results if any(entry["sha256"] == path.name for entry in r.outputs.values())]
            cause = f"its bytes are not those of its digest; it is part of {_names(owners)}"
            healed = ""
            if repair and named:
                healed = f"moved to {store.quarantine(path.name, owners)}"
            elif repair:
                healed = _removed(path)
            checked.faults.append(Fault("blob", path, cause, healed))
    checked.counts["blobs"] = len(paths)


def _names(results: list[Result]) -> str:
    return ", ".join(f"{result.record.get('kind')} {result.key[:12]}" for result in results) or "no result"


def _outputs(store: Store, results: list[Result], checked: Checked, repair: bool) -> None:
    """Links to blobs are as good as the blobs; what is a file of its own is read."""
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
                checked.faults.append(Fault("output", path, "its bytes are not those of the blob it shows", healed))
    checked.counts["outputs"] = count


def _items(store: Store, checked: Checked, repair: bool) -> None:
    paths = list(files_below(store.root / "items"))
    for path in paths:
        with suppress(FileNotFoundError):
            if value_of(path.read_bytes()) is None:
                healed = _removed(path) if repair else ""
                checked.faults.append(Fault("item", path, "its bytes are not those of its digest line", healed))
    checked.counts["items"] = len(paths)


def _heads(store: Store, checked: Checked, repair: bool) -> None:
    for path in files_below(store.root / "heads"):
        with suppress(FileNotFoundError):
            try:
                json.loads(path.read_bytes())
            except ValueError:
                healed = _removed(path) if repair else ""
                checked.faults.append(Fault("head", path, "cannot be read", healed))
        heads = store.heads(path.stem)
        if lost := sorted(name for name, key in heads.items() if not store.result_path(key).exists()):
            checked.leftovers.append(Fault("head", path, f"the results of {', '.join(lost)} are gone"))


def _leftovers(store: Store, repair: bool) -> Iterator[Fault]:
    """Torn files, and the staging folders of what is finished, that no running build can still need."""
    folders = [store.root / name for name in ("blobs", "results", "items", "outputs", "heads")]
    torn = [path for folder in folders for path in folder.rglob(f"{TORN}*")]
    for path in sorted([*torn, *(store.root / "staging").glob(f"{TORN}*")]):
        if time.time() - changed(path) > _QUIET_S:
            yield Fault("torn", path, "a killed process was writing it", _removed(path) if repair else "")
    for path in sorted((store.root / "staging").glob("[!.]*")):
        if not store.result_path(path.name).exists():
            continue  # the work of a killed stage, which goes on from it
        with store.free(path.name) as free:
            if free and path.exists():
                yield Fault("staging", path, "its stage is finished", _removed(path) if repair else "")


def _read(path: Path) -> tuple[str | None, int]:
    """A file's digest and size; no digest where the file went away."""
    try:
        return file_digest(path), path.stat().st_size
    except FileNotFoundError:
        return None, 0


def _removed(path: Path) -> str:
    remove(path)
    return "removed"
