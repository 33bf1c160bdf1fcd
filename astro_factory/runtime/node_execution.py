"""Executes one node in a thread of the builder: takes the key's lock, runs or imports, and commits the result."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from astro_factory.core.code_folders import looking_in
from astro_factory.core.graph import GraphNode
from astro_factory.core.plans import Executable, Hit, Import, Plan, PlannedNode, ToRun
from astro_factory.core.results import Result
from astro_factory.core.user_code import code_digest
from astro_factory.runtime.continuing import continuations, continue_across, describe_run
from astro_factory.runtime.costs import append_cost
from astro_factory.runtime.events import EventHandler, StageEvent
from astro_factory.runtime.limits import Limits
from astro_factory.runtime.outcomes import Outcome, StageFailed
from astro_factory.runtime.processes import ProcessPool
from astro_factory.runtime.provenance import environment
from astro_factory.runtime.publication import write_provenance
from astro_factory.runtime.stage_job import Job, append_line, staging_lock
from astro_factory.runtime.stored_curve import StoredCurve
from astro_factory.stages import stage_kind
from astro_factory.stages.validation import output_fault
from astro_factory.store import Store
from astro_factory.store.disk_errors import disk_errors_explained
from astro_factory.store.items import ITEMS
from astro_factory.store.transfer import import_result

_WAITING_FOR_PROCESS = "waiting for a stage process of a killed build to end"
_WAITING_FOR_BUILD = "waiting for another build, which is running it"
_EARLIER_POINTS = 1000
"""Most points of the curves of earlier runs in an event."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The end of a successful execution."""

    result: Result
    outcome: Outcome


def execute_node(
    plan: Plan,
    planned: Executable,
    results: Mapping[str, Result],
    store: Store,
    on_event: EventHandler,
    processes: ProcessPool,
    gpus: Sequence[str] | None = None,
    across: bool = False,
) -> Completed:
    """Run or import a node, given the results of its inputs. Raises `UserError` or `StageFailed`.

    `gpus` are the ids of the GPUs that it may use; None leaves all visible. With `across` it continues the checkpoint
    of an earlier run, see `runtime.continuing`.

    The outcome is `HIT` if another build made the result while this one waited for the lock.
    """
    with disk_errors_explained(store.root), _lock(store, planned.key, on_event):
        if isinstance(planned, Import):
            import_result(store, planned.provider, planned.result, output_fault, with_files=planned.with_files)
            return Completed(planned.result, Outcome.IMPORT)
        current = _resolve_again(plan, planned, results)
        if isinstance(current, Hit):
            return Completed(current.result, Outcome.HIT)
        _require_same_code(plan, planned.node)
        log = log_path(store, planned.key)
        log.parent.mkdir(exist_ok=True)
        log.write_bytes(b"")
        if across and (line := continue_across(store, planned)):
            append_line(log, line)
            on_event({"event": "log", "text": line})
        return Completed(_run(plan, planned, results, store, on_event, processes, gpus), Outcome.RAN)


def probe_node(
    plan: Plan,
    planned: ToRun,
    results: Mapping[str, Result],
    store: Store,
    on_event: EventHandler,
    processes: ProcessPool,
    count: int,
) -> None:
    """Make `count` of a node's items, which a later run takes from the store. Raises `UserError` or `StageFailed`.

    What this spends counts against the stage's budget, as the work of an interrupted run does.
    """
    with disk_errors_explained(store.root), _lock(store, planned.key, on_event):
        _resolve_again(plan, planned, results)
        _require_same_code(plan, planned.node)
        staging = _staging(store, planned.key, on_event)
        log = log_path(store, planned.key)
        log.parent.mkdir(exist_ok=True)
        log.write_bytes(b"")
        limits = Limits(planned.config, staging)
        try:
            job = replace(_job(plan, planned, results, store, staging, gpus=None), probe=count)
            processes.run(job, planned.node.heavy, limits, on_event)
        finally:
            limits.save()


def _resolve_again(plan: Plan, planned: ToRun, results: Mapping[str, Result]) -> PlannedNode:
    """The node's present state. Raises `StageFailed` if an input file was edited and so its key changed."""
    current = plan.resolve(planned.node, {name: results[name].content for name in planned.node.references})
    if current.key != planned.key:
        raise StageFailed("one of its input files changed during the build; build again")
    return current


def _require_same_code(plan: Plan, node: GraphNode) -> None:
    """Raises `StageFailed` if code that the node executes was edited since the plan was made: its key has the digest
    of the old code."""
    for code in plan.graph.code_behind([node.name]):
        with looking_in(code.folders):
            changed = bool(code.digest) and code_digest(code.target) != code.digest
        if changed:
            raise StageFailed(f"{code.file} or a file that it imports changed during the build; build again")


def log_path(store: Store, key: str) -> Path:
    """The log file of the last run of a key."""
    return store.root / "logs" / f"{key}.log"


def last_log(store: Store, spec: str, planned: PlannedNode) -> Path | None:
    """The log of a node's last run; for a node without a key, the log of its last result."""
    key = planned.key or store.heads(spec).get(planned.node.name)
    log = log_path(store, key) if key else None
    return log if log and log.exists() else None


def _lock(store: Store, key: str, on_event: EventHandler) -> AbstractContextManager[object]:
    """The lock of a key; logs that it waits if another build holds it."""
    from filelock import Timeout

    lock = store.lock(key)
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        on_event({"event": "log", "text": _WAITING_FOR_BUILD})
        return lock.acquire()


def _staging(store: Store, key: str, on_event: EventHandler) -> Path:
    """The folder in which a key's run works, with an empty output; what earlier runs kept there stays."""
    staging = store.staging(key)
    (staging / "work").mkdir(parents=True, exist_ok=True)
    with staging_lock(staging, lambda: on_event({"event": "log", "text": _WAITING_FOR_PROCESS})):
        shutil.rmtree(staging / "out", ignore_errors=True)
        (staging / "out").mkdir()
    return staging


def _run(
    plan: Plan,
    planned: ToRun,
    results: Mapping[str, Result],
    store: Store,
    on_event: EventHandler,
    processes: ProcessPool,
    gpus: Sequence[str] | None,
) -> Result:
    staging = _staging(store, planned.key, on_event)
    describe_run(staging, planned)
    limits = Limits(planned.config, staging)
    curve = StoredCurve(staging)
    if earlier := curve.measures(_EARLIER_POINTS):
        on_event({"event": "curve", "points": earlier})
    rows: dict[str, int] = {}

    def record(event: StageEvent) -> None:
        if event["event"] == "metric":
            curve.add(event["step"], event["values"])
        elif event["event"] == "rows":
            rows["rows"] = event["count"]
        on_event(event)

    started = datetime.now(UTC)
    job = _job(plan, planned, results, store, staging, gpus)
    if gpus:
        record({"event": "log", "text": f"GPUs: {', '.join(gpus)}"})
    try:
        processes.run(job, planned.node.heavy or bool(gpus), limits, record)
    except BaseException:
        limits.save()
        raise
    if not any(path.is_file() for path in (staging / "out").rglob("*")):
        raise StageFailed("it ended without any output")
    if planned.node.files:
        _resolve_again(plan, planned, results)
    _require_same_code(plan, planned.node)
    provenance = {
        **environment(),
        "started": started.isoformat(timespec="seconds"),
        **({"continued": steps} if (steps := continuations(staging)) else {}),
        **limits.spent(),
        **rows,
        "metrics": curve.points(),
    }
    result = store.commit(planned.key, planned.record, staging / "out", provenance, staging / ITEMS)
    known = {name: results[name].provenance.get("rows") for name in planned.node.references}
    append_cost(store, plan.graph, planned.node, known, result)
    shutil.rmtree(staging, ignore_errors=True)
    return result


def _job(
    plan: Plan,
    planned: ToRun,
    results: Mapping[str, Result],
    store: Store,
    staging: Path,
    gpus: Sequence[str] | None,
) -> Job:
    node = planned.node
    if missing := [name for name in node.references if not store.has_blobs(results[name])]:
        raise StageFailed(f"the files of '{missing[0]}' disappeared from this store; build again")
    inputs = {name: str(store.output(results[source])) for name, source in node.reads.items()}
    inputs |= dict(node.files)
    if node.section == "publish":
        outputs = {name: store.output(results[name]) for name in node.references}
        inputs["__provenance__"] = str(write_provenance(staging / "provenance", plan.graph, node, results, outputs))
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
        gpus=None if gpus is None else tuple(gpus),
    )
