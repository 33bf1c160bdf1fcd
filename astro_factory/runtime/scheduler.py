"""Runs a frozen plan: independent stages in parallel, each result committed before its followers start.

A node that was pending gets its key when its inputs have results, and may then be a hit (early cut-off). A failed stage
does not stop the stages that do not need it. However the build ends, finished stages stay hits, and interrupted ones
resume from their items and their scratch folder.

Each running stage has a thread. The threads only report; the main thread makes all decisions and calls the watcher. It
counts the missing inputs of each node, so the work of a build is linear in its nodes and edges.
"""

import threading
from collections import deque
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import NamedTuple

from astro_factory.core.code_folders import code_variables
from astro_factory.core.devices import inventory
from astro_factory.core.errors import UserError
from astro_factory.core.plans import Executable, Hit, Import, Pending, Plan, PlannedNode, ToRun
from astro_factory.core.ray_cluster import uses_ray
from astro_factory.core.results import Result
from astro_factory.runtime.events import StageEvent, Watcher
from astro_factory.runtime.node_execution import Completed, execute_node, log_path
from astro_factory.runtime.options import BuildOptions
from astro_factory.runtime.outcomes import Build, Outcome, StageFailed
from astro_factory.runtime.processes import ProcessPool
from astro_factory.runtime.resources import Devices, ReadyQueue, Resources, machine_resources, required
from astro_factory.runtime.spending import SpendLimitReached
from astro_factory.store import Store
from astro_factory.store.disk_errors import disk_errors_explained

_STOPPING = "asked to save and stop; Ctrl-C stops it at once"


def build(plan: Plan, store: Store, watch: Watcher, options: BuildOptions | None = None) -> Build:
    """Execute a plan. On KeyboardInterrupt it stops the running stages and raises the interrupt again; likewise with
    `SpendLimitReached` (E184) if `options.spending` reaches its limit.

    Without `keep_going`, a failure starts no further stage; running stages may finish. Of the other options, the plan
    was made with `locked`, `use_imports` and `caches`.
    """
    return _Scheduler(plan, store, watch, options or BuildOptions()).run()


@dataclass(frozen=True, slots=True)
class _Report:
    """What the thread of a node sends to the main thread: an event, or how the execution ended."""

    name: str
    news: StageEvent | Completed | BaseException


class _Running(NamedTuple):
    """A node in execution with what it occupies."""

    planned: Executable
    amount: Resources
    devices: list[str]
    """Ids of its GPUs."""


class _Scheduler:
    def __init__(self, plan: Plan, store: Store, watch: Watcher, options: BuildOptions):
        self.plan, self.store, self.watch, self.keep_going = plan, store, watch, options.keep_going
        self.state = Build()
        self.order = {name: number for number, name in enumerate(plan.nodes)}
        self.missing = {name: set(planned.node.references) for name, planned in plan.nodes.items()}
        """The inputs of each node that have no result yet."""
        self.followers: dict[str, list[str]] = {name: [] for name in plan.nodes}
        for name, references in self.missing.items():
            for reference in references:
                self.followers[reference].append(name)
        self.resolvable: deque[str] = deque()
        """Nodes whose inputs all have results, to be resolved."""
        self.queue: ReadyQueue[Executable] = ReadyQueue(machine_resources(options.jobs))
        ids = [gpu.id for gpu in inventory().gpus]
        self.has_gpus, self.devices = bool(ids), Devices(ids)
        self.running: dict[str, _Running] = {}
        self.inbox: SimpleQueue[_Report] = SimpleQueue()
        self.processes = ProcessPool(code_variables(plan.graph.code_modules()))
        self.continue_across = options.continue_across
        self.spending = options.spending

    def run(self) -> Build:
        try:
            self.resolvable.extend(name for name, references in self.missing.items() if not references)
            self._advance()
            while self.running:
                report = self._next_report()
                if isinstance(report.news, Completed | BaseException):
                    self._finish(report.name, report.news)
                    self._advance()
                else:
                    self.watch(report.name, report.news)
        except (KeyboardInterrupt, SpendLimitReached):
            for name in self.running:
                self.watch(name, {"event": "log", "text": _STOPPING})
            raise
        finally:
            self.processes.close()
            self._update_heads()
        return self.state

    def _next_report(self) -> _Report:
        """Wait for news of the running stages. Raises `SpendLimitReached`."""
        if self.spending is None:
            return self.inbox.get()
        self.spending.hold(sum(len(running.devices) for running in self.running.values()))
        while True:
            self.spending.check()
            try:
                report = self.inbox.get(timeout=self.spending.seconds_left())
            except Empty:
                continue
            if not isinstance(report.news, Completed | BaseException) and report.news["event"] == "spent":
                self.spending.add_tokens(report.news["tokens"])
            return report

    def _advance(self) -> None:
        """Resolve the nodes with complete inputs, which hits may add to; then start what the free resources allow."""
        while self.resolvable:
            self._resolve(self.resolvable.popleft())
        if self.state.failures and not self.keep_going:
            for planned in self.queue.clear():
                self._skip(planned.node.name, f"not started: {next(iter(self.state.failures))} failed")
        while ready := self.queue.pop():
            self._start(*ready)

    def _resolve(self, name: str) -> None:
        """Record a hit, or queue a node that must be executed."""
        try:
            planned = self._current_state(self.plan.nodes[name])
        except UserError as error:
            self._fail(name, str(error))
            return
        match planned:
            case Hit():
                self._add_result(name, planned.result)
                self._end(name, Outcome.HIT)
            case Pending():
                self._fail(name, planned.reason)
            case ToRun() | Import():
                self.queue.push(self.order[name], planned, required(planned))

    def _current_state(self, planned: PlannedNode) -> PlannedNode:
        """The node's state with all inputs built; an input that ran may have other content than the plan assumed."""
        inputs = [self.plan.nodes[name] for name in planned.node.references]
        if planned.key is not None and all(isinstance(item, Hit | Import) for item in inputs):
            return planned
        contents = {name: self.state.results[name].content for name in planned.node.references}
        current = self.plan.resolve(planned.node, contents)
        return planned if current.key is not None and current.key == planned.key else current

    def _start(self, planned: Executable, amount: Resources) -> None:
        name = planned.node.name
        self.watch(name, {"event": "start", "reason": planned.reason})
        devices = self.devices.take(int(amount.gpus))
        self.running[name] = _Running(planned, amount, devices)
        # a daemon, so that an interrupted build does not wait for another builder's lock
        threading.Thread(target=self._execute, args=(planned, devices), daemon=True).start()

    def _execute(self, planned: Executable, devices: list[str]) -> None:
        """Build one node, in a thread of its own. The results that it reads do not change any more."""
        name = planned.node.name

        def send(event: StageEvent) -> None:
            self.inbox.put(_Report(name, event))

        try:
            on_ray = uses_ray(planned.node.config)  # Ray hands out the GPUs itself
            visible = devices if self.has_gpus and not on_ray else None
            news = execute_node(
                self.plan,
                planned,
                self.state.results,
                self.store,
                send,
                self.processes,
                gpus=visible,
                across=name in self.continue_across,
            )
        except BaseException as error:  # a bug of ours, too, fails only this stage
            news = error
        self.inbox.put(_Report(name, news))

    def _finish(self, name: str, news: Completed | BaseException) -> None:
        planned, amount, devices = self.running.pop(name)
        self.queue.release(amount)
        self.devices.give_back(devices)
        if isinstance(news, BaseException):
            log = log_path(self.store, planned.key)
            if log.exists() and log.stat().st_size:
                self.state.logs[name] = log
            expected = isinstance(news, StageFailed | UserError)
            self._fail(name, str(news) if expected else f"{type(news).__name__}: {news}")
            return
        ran = news.outcome is Outcome.RAN
        self.state.seconds[name] = news.result.provenance.get("seconds", 0.0) if ran else 0.0
        self._add_result(name, news.result)
        self._end(name, news.outcome, seconds=self.state.seconds[name])

    def _add_result(self, name: str, result: Result) -> None:
        """Keep a result; followers that waited only for it can be resolved now."""
        self.state.results[name] = result
        for follower in self.followers[name]:
            self.missing[follower].discard(name)
            if not self.missing[follower]:
                self.resolvable.append(follower)

    def _fail(self, name: str, reason: str) -> None:
        self.state.failures[name] = reason
        self._end(name, Outcome.FAILED, reason=reason)
        self._skip_followers(name)

    def _skip(self, name: str, reason: str) -> None:
        self._end(name, Outcome.SKIPPED, reason=reason)
        self._skip_followers(name)

    def _skip_followers(self, name: str) -> None:
        causes = deque([name])
        while causes:
            cause = causes.popleft()
            for follower in self.followers[cause]:
                if follower not in self.state.outcomes:
                    self._end(follower, Outcome.SKIPPED, reason=f"needs {cause}")
                    causes.append(follower)

    def _end(self, name: str, outcome: Outcome, *, reason: str = "", seconds: float = 0.0) -> None:
        self.state.outcomes[name] = outcome
        self.watch(name, {"event": "end", "outcome": outcome, "reason": reason, "seconds": seconds})

    def _update_heads(self) -> None:
        """Make the results the heads of this spec, for `explain` and garbage collection."""
        keys = {name: result.key for name, result in self.state.results.items()}
        try:
            with disk_errors_explained(self.store.root):
                self.store.update_heads(self.plan.graph.name, keys)
        except UserError:
            if self.state.ok:  # otherwise the failures matter more
                raise
