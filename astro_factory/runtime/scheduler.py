"""Runs a frozen plan: what is ready side by side, each result committed before its followers start.

A node that was pending gets its key when its inputs are known and may then be a hit (early cut-off). A failed stage
does not stop those that do not need it. Whatever ends the build, finished stages stay hits and killed ones resume from
what they kept in their work folder and items.

Each running stage has a thread; the threads only report, and the builder's own thread decides and tells the watcher. It
counts for each node the inputs that are still missing, so the work of a build is linear in its nodes and edges.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from astro_factory.core.errors import UserError
from astro_factory.core.results import Plan, PlannedNode, Result, Status
from astro_factory.runtime.node_execution import log_path, make
from astro_factory.runtime.processes import Processes
from astro_factory.runtime.resources import Queue, Resources, machine
from astro_factory.runtime.stage_job import StageFailed
from astro_factory.store import Store
from astro_factory.store.disk_full import disk_full_as_error

Watcher = Callable[[str, dict[str, Any]], None]
"""Called with a node's name and an event: `start`, `progress`, `phase`, `metric`, `spent`, `log`, `end`."""

_TOLD = "told to save and stop; another interrupt does not wait for it"


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

    def after(self, earlier: "Build") -> "Build":
        """This build as the end of one: what the earlier part made is a hit by now, but was made."""
        for name, outcome in earlier.outcomes.items():
            if outcome in ("ran", "import") and self.outcomes.get(name) == "hit":
                self.outcomes[name], self.seconds[name] = outcome, earlier.seconds.get(name, 0.0)
        return self


def build(plan: Plan, store: Store, watch: Watcher, *, jobs: int | None = None, keep_going: bool = True) -> Build:
    """Execute a plan on `jobs` cores; on KeyboardInterrupt running stages are ended and the interrupt goes on.

    Where there are GPUs, what keeps a core busy keeps a GPU busy, and they are the fewer. Without `keep_going` nothing
    more is started after a failure; what runs is let finish.
    """
    return _Scheduler(plan, store, watch, machine(jobs), keep_going).run()


class _Scheduler:
    def __init__(self, plan: Plan, store: Store, watch: Watcher, resources: Resources, keep_going: bool):
        self.plan, self.store, self.watch, self.keep_going = plan, store, watch, keep_going
        self.state = Build()
        self.order = {name: number for number, name in enumerate(plan.nodes)}
        self.missing = {name: set(planned.node.references) for name, planned in plan.nodes.items()}
        """Name to the inputs that are not known yet."""
        self.followers: dict[str, list[str]] = {name: [] for name in plan.nodes}
        for name, references in self.missing.items():
            for reference in references:
                self.followers[reference].append(name)
        self.known: deque[str] = deque()
        """Names of nodes whose inputs are all known, to be looked at."""
        self.queue = Queue(resources)
        self.running: dict[str, tuple[PlannedNode, Resources]] = {}
        self.inbox: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        """Name of a node with an event, or with the pair or exception that its thread ended with."""
        self.processes = Processes()

    def run(self) -> Build:
        try:
            self.known.extend(name for name, references in self.missing.items() if not references)
            self._advance()
            while self.running:
                name, news = self.inbox.get()
                if isinstance(news, dict):
                    self.watch(name, news)
                else:
                    self._finish(name, news)
                    self._advance()
        except KeyboardInterrupt:
            for name in self.running:
                self.watch(name, {"event": "log", "text": _TOLD})
            raise
        finally:
            self.processes.end()
            self._remember()
        return self.state

    def _advance(self) -> None:
        """Look at what got known, which may be hits that make more known; then start what there is room for."""
        while self.known:
            self._look_at(self.known.popleft())
        if self.state.failures and not self.keep_going:
            for planned in self.queue.clear():
                self._skip(planned.node.name, f"not started: {next(iter(self.state.failures))} failed")
        while found := self.queue.take():
            self._start(*found)

    def _look_at(self, name: str) -> None:
        """Take a node whose inputs are known, or let it wait for its turn."""
        try:
            ready = self._ready(self.plan.nodes[name])
        except UserError as error:
            self._fail(name, str(error))
            return
        if ready.status is Status.HIT:
            self._have(name, ready.result)
            self._end(name, "hit")
        elif ready.status is Status.PENDING:
            self._fail(name, ready.reason)
        else:
            self.queue.put(self.order[name], ready)

    def _ready(self, planned: PlannedNode) -> PlannedNode:
        """The node with its key. Where an input was not a hit, its content may be another than the plan's."""
        inputs = [self.plan.nodes[name] for name in planned.node.references]
        if planned.key is not None and all(item.status in (Status.HIT, Status.IMPORT) for item in inputs):
            return planned
        contents = {name: self.state.results[name].content for name in planned.node.references}
        fresh = self.plan.resolve(planned.node, contents)
        return planned if fresh.key is not None and fresh.key == planned.key else fresh

    def _start(self, planned: PlannedNode, amount: Resources) -> None:
        name = planned.node.name
        self.watch(name, {"event": "start", "reason": planned.reason})
        self.running[name] = (planned, amount)
        # a daemon: an interrupted build does not wait for another builder's lock
        threading.Thread(target=self._work, args=(planned,), daemon=True).start()

    def _work(self, planned: PlannedNode) -> None:
        """In a thread of its own: make one node's result. What it reads of the results changes no more."""
        name, results = planned.node.name, self.state.results
        try:
            news = make(self.plan, planned, results, self.store, lambda e: self.inbox.put((name, e)), self.processes)
        except BaseException as error:  # a defect of ours, too, is the end of that stage alone
            news = error
        self.inbox.put((name, news))

    def _finish(self, name: str, news: tuple[Result, str] | BaseException) -> None:
        planned, amount = self.running.pop(name)
        self.queue.give_back(amount)
        if isinstance(news, BaseException):
            log = log_path(self.store, planned.key)
            if log.exists() and log.stat().st_size:
                self.state.logs[name] = log
            known = isinstance(news, StageFailed | UserError)
            self._fail(name, str(news) if known else f"{type(news).__name__}: {news}")
            return
        result, outcome = news
        self.state.seconds[name] = result.provenance.get("seconds", 0.0) if outcome == "ran" else 0.0
        self._have(name, result)
        self._end(name, outcome, seconds=self.state.seconds[name])

    def _have(self, name: str, result: Result) -> None:
        """A result is known, and with it perhaps all that a follower waited for."""
        self.state.results[name] = result
        for follower in self.followers[name]:
            self.missing[follower].discard(name)
            if not self.missing[follower]:
                self.known.append(follower)

    def _fail(self, name: str, reason: str) -> None:
        self.state.failures[name] = reason
        self._end(name, "failed", reason=reason)
        self._skip_followers(name)

    def _skip(self, name: str, reason: str) -> None:
        self._end(name, "skipped", reason=reason)
        self._skip_followers(name)

    def _skip_followers(self, name: str) -> None:
        lost = deque([name])
        while lost:
            cause = lost.popleft()
            for follower in self.followers[cause]:
                if follower not in self.state.outcomes:
                    self._end(follower, "skipped", reason=f"needs {cause}")
                    lost.append(follower)

    def _end(self, name: str, outcome: str, **more: Any) -> None:
        self.state.outcomes[name] = outcome
        self.watch(name, {"event": "end", "outcome": outcome, **more})

    def _remember(self) -> None:
        """Name the results as roots of this spec, for `explain` and garbage collection."""
        keys = {name: result.key for name, result in self.state.results.items()}
        try:
            with disk_full_as_error(self.store.root):
                self.store.remember(self.plan.graph.name, keys)
        except UserError:
            if self.state.ok:  # else the failures are what there is to tell
                raise
