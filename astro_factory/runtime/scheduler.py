"""Runs a frozen plan: what is ready side by side, each result committed before its followers start.

A node that was pending gets its key when its inputs are known and may then be a hit (early cut-off). A failed stage
does not stop those that do not need it. Whatever ends the build, finished stages stay hits and killed ones resume from
what they kept in their work folder and items.

Each running stage has a thread; the threads only report, and the builder's own thread decides and tells the watcher.
"""

import importlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from astro_factory.core.devices import gpus
from astro_factory.core.errors import UserError
from astro_factory.core.results import Plan, PlannedNode, Result, Status
from astro_factory.runtime.jobs import Processes, StageFailed
from astro_factory.runtime.making import log_path, make
from astro_factory.store import Store

Watcher = Callable[[str, dict[str, Any]], None]
"""Called with a node's name and an event: `start`, `progress`, `metric`, `log`, `end`."""


@dataclass
class Build:
    """How a build went; `results` holds every node whose output is known."""

    results: dict[str, Result] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    """Node to `hit`, `import`, `ran`, `failed` or `skipped`."""
    failures: dict[str, str] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)
    """Of failed stages that wrote one: the log file."""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.failures


def build(plan: Plan, store: Store, watch: Watcher, *, jobs: int | None = None) -> Build:
    """Execute a plan on `jobs` cores; on KeyboardInterrupt running stages are ended and the interrupt goes on.

    Where there are GPUs, what keeps a core busy keeps a GPU busy, and they are the fewer.
    """
    return _Scheduler(plan, store, watch, jobs or len(gpus()) or os.cpu_count() or 1).run()


class _Scheduler:
    def __init__(self, plan: Plan, store: Store, watch: Watcher, cores: int):
        self.plan, self.store, self.watch, self.cores = plan, store, watch, cores
        self.state = Build()
        self.waiting = dict(plan.nodes)
        self.running: dict[str, tuple[PlannedNode, int]] = {}
        """Name to the node and the cores it takes."""
        self.inbox: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        """Name of a node with an event, or with the pair or exception that its thread ended with."""
        self.processes = Processes()

    def run(self) -> Build:
        try:
            self._start_ready()
            while self.running:
                name, news = self.inbox.get()
                if isinstance(news, dict):
                    self.watch(name, news)
                else:
                    self._finish(name, news)
                    self._start_ready()
        finally:
            self.processes.end()
            self._remember()
        return self.state

    def _start_ready(self) -> None:
        """Take and start what can be; hits make others ready, so until nothing moves."""
        before = None
        while before != len(self.waiting):
            before = len(self.waiting)
            for name, planned in list(self.waiting.items()):
                if lost := [n for n in planned.node.references if self.state.outcomes.get(n) in ("failed", "skipped")]:
                    del self.waiting[name]
                    self._end(name, "skipped", reason=f"needs {lost[0]}")
                elif all(reference in self.state.results for reference in planned.node.references):
                    self._advance(name, planned)

    def _advance(self, name: str, planned: PlannedNode) -> None:
        """Take a node whose inputs are known, or start it if there are cores for it."""
        try:
            ready = self._ready(planned)
        except UserError as error:
            del self.waiting[name]
            self._fail(name, str(error))
            return
        if ready.status is Status.HIT:
            self.state.results[name] = ready.result
            self._end(name, "hit")
        elif ready.status is Status.PENDING:
            self._fail(name, ready.reason)
        elif not self._start(ready):
            return
        del self.waiting[name]

    def _ready(self, planned: PlannedNode) -> PlannedNode:
        """The node with its key. Where an input was not a hit, its content may be another than the plan's."""
        inputs = [self.plan.nodes[name] for name in planned.node.references]
        if planned.key is not None and all(item.status in (Status.HIT, Status.IMPORT) for item in inputs):
            return planned
        contents = {name: self.state.results[name].content for name in planned.node.references}
        fresh = self.plan.resolve(planned.node, contents)
        return planned if fresh.key is not None and fresh.key == planned.key else fresh

    def _start(self, planned: PlannedNode) -> bool:
        name, cores = planned.node.name, self._cores(planned)
        if sum(taken for _, taken in self.running.values()) + cores > self.cores:
            return False
        self.watch(name, {"event": "start", "reason": planned.reason})
        self.running[name] = (planned, cores)
        # a daemon: an interrupted build does not wait for a light stage, which cannot be ended
        threading.Thread(target=self._work, args=(planned, dict(self.state.results)), daemon=True).start()
        return True

    def _cores(self, planned: PlannedNode) -> int:
        """Cores that a stage takes: what its kind says of its config, else one; copying an import takes none."""
        if planned.status is Status.IMPORT:
            return 0
        module = importlib.import_module(planned.node.module)
        return min(module.cores(planned.config), self.cores) if hasattr(module, "cores") else 1

    def _work(self, planned: PlannedNode, results: dict[str, Result]) -> None:
        """In a thread of its own: make one node's result."""
        name = planned.node.name
        try:
            news = make(self.plan, planned, results, self.store, lambda e: self.inbox.put((name, e)), self.processes)
        except BaseException as error:  # whatever a stage raises, sys.exit() too, is the end of that stage alone
            news = error
        self.inbox.put((name, news))

    def _finish(self, name: str, news: tuple[Result, str] | BaseException) -> None:
        planned, _ = self.running.pop(name)
        if isinstance(news, BaseException):
            known = isinstance(news, StageFailed | UserError)
            self._fail(name, str(news) if known else f"{type(news).__name__}: {news}")
            log = log_path(self.store, planned.key)
            if log.exists() and log.stat().st_size:
                self.state.logs[name] = log
            return
        result, outcome = news
        self.state.results[name] = result
        self.state.seconds[name] = result.provenance.get("seconds", 0.0) if outcome == "ran" else 0.0
        self._end(name, outcome, seconds=self.state.seconds[name])

    def _fail(self, name: str, reason: str) -> None:
        self.state.failures[name] = reason
        self._end(name, "failed", reason=reason)

    def _end(self, name: str, outcome: str, **more: Any) -> None:
        self.state.outcomes[name] = outcome
        self.watch(name, {"event": "end", "outcome": outcome, **more})

    def _remember(self) -> None:
        """Name the results as roots of this spec, for `explain` and garbage collection."""
        name = self.plan.graph.name
        heads = self.store.heads(name)
        if more := {node: result.key for node, result in self.state.results.items()}.items() - heads.items():
            self.store.set_heads(name, heads | dict(more))
