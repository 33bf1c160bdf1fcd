"""A whole build of a graph: resolve revisions, plan, check, run, and plan again if a cache fails."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from astro_factory.core.devices import inventory
from astro_factory.core.graph import Graph
from astro_factory.core.plans import Hit, Plan
from astro_factory.plan.code_access import require_code
from astro_factory.plan.estimates import Estimate, estimates
from astro_factory.plan.locks import commits_for
from astro_factory.plan.planner import make_plan
from astro_factory.plan.predictions import require_fit
from astro_factory.plan.preflight import preflight
from astro_factory.runtime import Build, BuildOptions, build
from astro_factory.runtime.events import BuildEvent, Watcher
from astro_factory.runtime.journal import PlannedBuild, PlannedStage, open_journal
from astro_factory.runtime.resources import machine_resources, processors
from astro_factory.runtime.tracking import tracked
from astro_factory.store import Store
from astro_factory.store.disk_errors import disk_errors_explained

View = Callable[[Plan, PlannedBuild], AbstractContextManager[Watcher]]
"""Opens a watcher for the time that a plan runs."""


@dataclass(frozen=True, slots=True)
class FinishedBuild:
    """A build with the plan that it ran and the estimates that were made before it."""

    plan: Plan
    build: Build
    estimates: dict[str, Estimate]
    tracking_fault: str = ""
    """Why the experiment tracker lacks something of the build; empty if it does not."""


def build_graph(
    graph: Graph, store: Store, options: BuildOptions, view: View, targets: Sequence[str] | None = None
) -> FinishedBuild:
    """Build the targets and everything they depend on; the default targets are all stages and publications.

    A failed stage is in the result. Raises `UserError` for everything that stops the build before it starts.
    """
    commits = commits_for(graph.only(targets), locked=options.locked)
    ends = None if targets is None else _ends(graph, targets)

    def plan() -> Plan:
        planned = make_plan(
            graph, store, targets=ends, commits=commits, use_imports=options.use_imports, caches=options.caches
        )
        require_code(planned, options.trust)
        preflight(planned, online=True)
        require_fit(planned, inventory())
        return planned

    def run(planned: Plan) -> Build:
        described = planned_build(planned, expected, options.jobs)
        journal.plan(described)
        if described["stages"]:
            tracking.start()
        with view(planned, described) as watch:

            def tell(name: str, event: BuildEvent) -> None:
                journal(name, event)
                watch(name, event)

            return build(planned, store, tell, options)

    with (
        disk_errors_explained(store.root),
        store.building() as number,
        tracked(graph, store, number) as tracking,
        open_journal(store, number) as journal,
    ):
        failed = sum(cache.failed_fetches for cache in options.caches)
        planned = plan()
        expected = estimates(planned, store)
        done = run(planned)
        while not done.ok and failed < (failed := sum(cache.failed_fetches for cache in options.caches)):
            # a cache failed to deliver what it had offered: plan the rest again without it
            done = run(planned := plan()).after(done)
    return FinishedBuild(planned, done, expected, tracking.fault)


def planned_build(plan: Plan, expected: Mapping[str, Estimate], jobs: int | None = None) -> PlannedBuild:
    """A plan as its journal and the live table need it."""
    free = machine_resources(jobs)
    missing = dict.fromkeys(name for name, item in plan.nodes.items() if not isinstance(item, Hit))
    stages: list[PlannedStage] = []
    for name in missing:
        node = plan.nodes[name].node
        (count, processor), estimate = processors(node), expected.get(name)
        seconds = None if estimate is None or estimate.seconds is None else estimate.seconds / max(1.0, count)
        stages.append(
            {
                "name": name,
                "kind": node.kind,
                "needs": [other for other in dict.fromkeys(node.references) if other in missing],
                "seconds": seconds,
                "processors": count,
                "processor": processor,
            }
        )
    return {
        "spec": plan.graph.name,
        "path": os.path.realpath(plan.graph.lock_path.removesuffix(".lock")),
        "pid": os.getpid(),
        "capacity": {"cores": free.cores, "GPUs": free.gpus},
        "stages": stages,
    }


def _ends(graph: Graph, targets: Sequence[str]) -> list[str]:
    """The targets that no other target depends on, so that nothing is built only for targets that are hits."""
    needed = {reference for name in targets for reference in graph.nodes[name].references}
    return [name for name in targets if name not in needed]
