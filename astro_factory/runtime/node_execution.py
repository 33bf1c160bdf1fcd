"""Making one node's result, in a thread of the builder: under the key's lock, run or import, then commit."""

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astro_factory.core.results import Plan, PlannedNode, Result, Status
from astro_factory.runtime.costs import keep_cost
from astro_factory.runtime.events import EventHandler
from astro_factory.runtime.limits import Limits
from astro_factory.runtime.processes import Processes
from astro_factory.runtime.provenance import environment
from astro_factory.runtime.publication import write_provenance
from astro_factory.runtime.stage_job import Job, StageFailed, occupied
from astro_factory.stages import stage_kind
from astro_factory.store import Store
from astro_factory.store.disk_full import disk_full_as_error
from astro_factory.store.items import ITEMS
from astro_factory.store.transfer import take

_ENDING = "a process of a build that was killed is still ending; waiting"


def make(
    plan: Plan,
    planned: PlannedNode,
    results: Mapping[str, Result],
    store: Store,
    on_event: EventHandler,
    processes: Processes,
) -> tuple[Result, str]:
    """The result of a node whose inputs have `results`, and its outcome: `ran`, `import`, or `hit`.

    Raises `UserError` or `StageFailed`.
    """
    with disk_full_as_error(store.root), _locked(store, planned.key, on_event):
        if planned.status is Status.IMPORT:
            take(store, planned.provider, planned.result, whole=planned.whole)
            return planned.result, "import"
        if (fresh := _resolve(plan, planned, results)).status is Status.HIT:
            return fresh.result, "hit"  # another build made it meanwhile
        log = log_path(store, planned.key)
        log.parent.mkdir(exist_ok=True)
        log.write_bytes(b"")
        return _run(plan, planned, results, store, on_event, processes), "ran"


def _resolve(plan: Plan, planned: PlannedNode, results: Mapping[str, Result]) -> PlannedNode:
    """The node as it stands now, after waiting for a lock or running; its key must still be the planned one."""
    fresh = plan.resolve(planned.node, {name: results[name].content for name in planned.node.references})
    if fresh.key != planned.key:
        raise StageFailed("a file that it reads was changed meanwhile; build again")
    return fresh


def log_path(store: Store, key: str) -> Path:
    """Where the log of a key's last run lies."""
    return store.root / "logs" / f"{key}.log"


def last_log(store: Store, spec: str, planned: PlannedNode) -> Path | None:
    """The log of a node's last run: of its key, or of its last result where it has no key yet."""
    key = planned.key or store.heads(spec).get(planned.node.name)
    log = log_path(store, key) if key else None
    return log if log and log.exists() else None


def _locked(store: Store, key: str, on_event: EventHandler) -> AbstractContextManager:
    """The key's lock; says so where another build holds it."""
    from filelock import Timeout

    lock = store.lock(key)
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        on_event({"event": "log", "text": "another build is making it; waiting"})
        return lock.acquire()


def _run(
    plan: Plan,
    planned: PlannedNode,
    results: Mapping[str, Result],
    store: Store,
    on_event: EventHandler,
    processes: Processes,
) -> Result:
    staging = store.staging(planned.key)
    (staging / "work").mkdir(parents=True, exist_ok=True)
    with occupied(staging, lambda: on_event({"event": "log", "text": _ENDING})):
        shutil.rmtree(staging / "out", ignore_errors=True)
        (staging / "out").mkdir()
    limits = Limits(planned.config, staging)
    curve: list[dict[str, Any]] = []
    rows: dict[str, int] = {}

    def keep(event: dict[str, Any]) -> None:
        if event["event"] == "metric":
            curve.append({"step": event["step"], **event["values"]})
        elif event["event"] == "rows":
            rows["rows"] = event["count"]
        on_event(event)

    started = datetime.now(UTC)
    job = _job(plan, planned, results, store, staging)
    try:
        processes.run(job, planned.node.heavy, limits, keep)
    except BaseException:
        limits.save()
        raise
    if not any(path.is_file() for path in (staging / "out").rglob("*")):
        raise StageFailed("it ended without any output")
    if planned.node.files:
        _resolve(plan, planned, results)
    provenance = {
        **environment(),
        "started": started.isoformat(timespec="seconds"),
        **limits.spent(),
        **rows,
        "metrics": curve,
    }
    result = store.commit(planned.key, planned.record, staging / "out", provenance, staging / ITEMS)
    known = {name: results[name].provenance.get("rows") for name in planned.node.references}
    keep_cost(store, plan.graph.name, planned.node, known, result)
    shutil.rmtree(staging, ignore_errors=True)
    return result


def _job(plan: Plan, planned: PlannedNode, results: Mapping[str, Result], store: Store, staging: Path) -> Job:
    node = planned.node
    if missing := [name for name in node.references if not store.has_blobs(results[name])]:
        raise StageFailed(f"the files of '{missing[0]}' are not in this store any more; build again")
    inputs = {name: str(store.output(results[source])) for name, source in node.reads.items()}
    inputs |= dict(node.files)
    if node.section == "publish":
        inputs["__provenance__"] = str(write_provenance(staging / "provenance", plan.graph, node, results))
    return Job(
        name=node.name,
        module=node.module,
        config=planned.config.model_dump(mode="json", exclude_unset=True),
        inputs=inputs,
        digests={name: results[source].content for name, source in node.reads.items()},
        out=str(staging / "out"),
        scratch=str(staging / "work"),
        items=str(store.root / "items"),
        log=str(log_path(store, planned.key)),
        threads=stage_kind(node.module).threads(planned.config),
    )
