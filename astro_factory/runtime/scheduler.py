"""Runs a frozen plan: what is ready side by side, each result committed before its followers start.

A node that was pending gets its key when its inputs are known and may then be a hit (early cut-off). A failed stage does
not stop those that do not need it. Whatever ends the build, finished stages stay hits and killed ones resume from what
they kept in their work folder and items.
"""

import importlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astro_factory.core.errors import UserError
from astro_factory.core.results import Plan, PlannedNode, Result, Status
from astro_factory.runtime.jobs import Job, StageFailed, end_processes, run_job
from astro_factory.runtime.provenance import environment
from astro_factory.runtime.publication import write_provenance
from astro_factory.store import Store
from astro_factory.store.exports import import_result

Watcher = Callable[[str, dict[str, Any]], None]
"""Called with a node's name and an event: `start`, `progress`, `metric`, `log`, `end`."""


@dataclass
class Build:
    """How a build went; `results` holds every node whose output is known."""

    results: dict[str, Result] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    """Node to `hit`, `import`, `ran`, `failed` or `skipped`."""
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.failures


def build(plan: Plan, store: Store, watch: Watcher, *, jobs: int | None = None) -> Build:
    """Execute a plan; on KeyboardInterrupt running stages are ended and the interrupt goes on."""
    return _Scheduler(plan, store, watch, jobs or os.cpu_count() or 1).run()


class _Scheduler:
    def __init__(self, plan: Plan, store: Store, watch: Watcher, cores: int):
        self.plan, self.store, self.watch, self.cores = plan, store, watch, cores
        self.state = Build()
        self.waiting = dict(plan.nodes)
        self.running: dict[Future, tuple[PlannedNode, int]] = {}
        self.processes: set[subprocess.Popen] = set()

    def run(self) -> Build:
        pool = ThreadPoolExecutor(max_workers=max(2, self.cores))
        try:
            while self.waiting or self.running:
                self._start_ready(pool)
                if self.running:
                    for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                        self._finish(future)
        except BaseException:
            end_processes(self.processes)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self._remember()
        return self.state

    def _start_ready(self, pool: ThreadPoolExecutor) -> None:
        progressed = True
        while progressed:
            progressed = False
            for name, planned in list(self.waiting.items()):
                ready = self._ready(planned)
                if ready is None:
                    continue
                if ready.status in (Status.HIT, Status.IMPORT):
                    self._take(ready)
                elif not self._start(pool, ready):
                    continue
                self.waiting.pop(name)
                progressed = True

    def _ready(self, planned: PlannedNode) -> PlannedNode | None:
        """The node with its key, or None while it must wait; a node that cannot run any more is dropped here."""
        if lost := [name for name in planned.node.references if self.state.outcomes.get(name) in ("failed", "skipped")]:
            self.waiting.pop(planned.node.name)
            self.state.outcomes[planned.node.name] = "skipped"
            self.watch(planned.node.name, {"event": "end", "outcome": "skipped", "reason": f"needs {lost[0]}"})
            return None
        if any(name not in self.state.results for name in planned.node.references):
            return None
        if planned.status is not Status.PENDING:
            return planned
        return self.plan.resolve(planned.node, {name: result.content for name, result in self.state.results.items()})

    def _take(self, planned: PlannedNode) -> None:
        name = planned.node.name
        if planned.status is Status.IMPORT:
            import_result(self.store, planned.export, planned.result)
        self.state.results[name] = planned.result
        self.state.outcomes[name] = str(planned.status)
        self.watch(name, {"event": "end", "outcome": str(planned.status)})

    def _start(self, pool: ThreadPoolExecutor, planned: PlannedNode) -> bool:
        module = importlib.import_module(planned.node.module)
        cores = min(module.cores(planned.config), self.cores) if hasattr(module, "cores") else 1
        if sum(taken for _, taken in self.running.values()) + cores > self.cores:
            return False
        self.watch(planned.node.name, {"event": "start", "reason": planned.reason})
        self.running[pool.submit(self._run_stage, planned)] = (planned, cores)
        return True

    def _run_stage(self, planned: PlannedNode) -> tuple[Result, str]:
        """In a thread: hold the key's lock, run, commit."""
        with self.store.lock(planned.key):
            if (result := self.store.result(planned.key)) and self.store.has_blobs(result):
                return result, "hit"  # another build made it meanwhile
            staging = self.store.staging(planned.key)
            shutil.rmtree(staging / "out", ignore_errors=True)
            for folder in ("out", "work"):
                (staging / folder).mkdir(parents=True, exist_ok=True)
            curve: list[dict[str, Any]] = []

            def on_event(event: dict[str, Any]) -> None:
                if event["event"] == "metric":
                    curve.append({"step": event["step"], **event["values"]})
                self.watch(planned.node.name, event)

            started, clock = datetime.now(UTC), time.monotonic()
            run_job(self._job(planned, staging), planned.node.heavy, on_event, self.processes)
            provenance = {
                **environment(),
                "started": started.isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - clock, 2),
                "metrics": curve,
            }
            result = self.store.commit(planned.key, planned.record, staging / "out", provenance)
            shutil.rmtree(staging, ignore_errors=True)
            return result, "ran"

    def _job(self, planned: PlannedNode, staging: Path) -> Job:
        node = planned.node
        results = {name: self.state.results[name] for name in node.references}
        inputs = {name: str(self.store.output(result)) for name, result in results.items()}
        inputs |= dict(node.files)
        if node.section == "publish":
            inputs["__provenance__"] = str(
                write_provenance(staging / "provenance", self.plan.graph, node, self.state.results)
            )
        logs = self.store.root / "logs"
        logs.mkdir(exist_ok=True)
        return Job(
            name=node.name,
            module=node.module,
            config=planned.config.model_dump(mode="json"),
            inputs=inputs,
            digests={name: result.content for name, result in results.items()},
            out=str(staging / "out"),
            work=str(staging / "work"),
            items=str(self.store.root / "items"),
            log=str(logs / f"{planned.key}.log"),
            threads=getattr(planned.config, "threads", 1),
        )

    def _finish(self, future: Future) -> None:
        planned, _ = self.running.pop(future)
        name = planned.node.name
        try:
            result, outcome = future.result()
        except (StageFailed, UserError) as error:
            self.state.outcomes[name], self.state.failures[name] = "failed", str(error)
            self.watch(name, {"event": "end", "outcome": "failed", "reason": str(error)})
            return
        self.state.results[name], self.state.outcomes[name] = result, outcome
        self.state.seconds[name] = result.provenance.get("seconds", 0.0)
        self.watch(name, {"event": "end", "outcome": outcome, "seconds": self.state.seconds[name]})

    def _remember(self) -> None:
        """Name the results as roots of this spec, for `explain` and garbage collection."""
        name = self.plan.graph.name
        heads = self.store.heads(name) | {node: result.key for node, result in self.state.results.items()}
        if heads != self.store.heads(name):
            self.store.set_heads(name, heads)
