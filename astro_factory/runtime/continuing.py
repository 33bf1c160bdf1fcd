"""Continues the checkpoint of an unfinished run whose config differs only in the rounding of its results.

A run that does not fit the memory must be started again with another `micro_batch_size`. That is another key, whose
staging folder is empty. `build --continue-across STAGE` moves the work of the earlier run there. The result then
depends on both configs, in its last bits; its provenance says so.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astro_factory.core.differences import leaves
from astro_factory.core.errors import UserError
from astro_factory.core.plans import MISSING, ToRun
from astro_factory.runtime.limits import SPENT
from astro_factory.runtime.stored_curve import CURVE
from astro_factory.store import Store
from astro_factory.store.files import write_atomic

_RUN, _CONTINUED = "run.json", "continued.json"
_CHECKPOINTS = "work/checkpoints/checkpoint-*"


def describe_run(staging: Path, planned: ToRun) -> None:
    """Keep in a staging folder what other runs need to know to continue its work."""
    if planned.lineage:
        run = {"lineage": planned.lineage, "record": planned.record}
        write_atomic(staging / _RUN, json.dumps(run).encode(), durable=False)


def continue_across(store: Store, planned: ToRun) -> str:
    """Move the newest checkpoint of the node's lineage to its staging folder, and return a line for the log.

    If the run has a checkpoint of its own, nothing happens and the line is empty. Raises `UserError` E518 without any.
    """
    staging = store.staging(planned.key)
    if any(staging.glob(_CHECKPOINTS)):
        return ""
    for folder, run in _unfinished_runs(store):
        if folder == staging or run["lineage"] != planned.lineage:
            continue
        with store.try_lock(folder.name) as locked:
            if locked:
                return _take(folder, run["record"], staging, planned)
    raise UserError.of(
        "E518",
        f"'{planned.node.name}' has no checkpoint to continue: no unfinished run in this store differs from it only in "
        "fields that change the last bits",
        f"`explain-error E518` lists these fields; without --continue-across {planned.node.name} it starts from step 0",
        planned.node.place,
    )


def continuations(staging: Path) -> list[dict[str, Any]]:
    """What a run took over from others, oldest first, for its provenance."""
    path = staging / _CONTINUED
    return json.loads(path.read_bytes()) if path.is_file() else []


def _unfinished_runs(store: Store) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The staging folders with a checkpoint and their descriptions, newest checkpoint first."""
    found = []
    for path in (store.root / "staging").glob(f"*/{_RUN}"):
        if times := [checkpoint.stat().st_mtime for checkpoint in path.parent.glob(_CHECKPOINTS)]:
            found.append((max(times), path))
    for _, path in sorted(found, reverse=True):
        yield path.parent, json.loads(path.read_bytes())


def _take(source: Path, record: Mapping[str, Any], staging: Path, planned: ToRun) -> str:
    changed = [
        f"{'.'.join(map(str, path[1:]))}: {_shown(old)} -> {_shown(new)}"
        for path, old, new in leaves(record, planned.record)
    ]
    step = {"key": source.name, "changes": changed, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    staging.mkdir(parents=True, exist_ok=True)
    # noted before the move, so that a kill between the two cannot hide it
    write_atomic(staging / _CONTINUED, json.dumps([*continuations(source), step]).encode())
    shutil.rmtree(staging / "work", ignore_errors=True)
    (source / "work").rename(staging / "work")
    for name in (SPENT, CURVE):
        if (source / name).exists():
            (source / name).replace(staging / name)
    shutil.rmtree(source, ignore_errors=True)
    return f"continues the checkpoint of an earlier run across {', '.join(changed)}"


def _shown(value: object) -> str:
    return "nothing" if value is MISSING else json.dumps(value)
