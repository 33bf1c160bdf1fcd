"""A probe: a few items of a stage, made before a long run, that say what the run will take."""

import time
from dataclasses import dataclass

from astro_factory.core.code_folders import code_variables
from astro_factory.core.errors import UserError
from astro_factory.core.graph import Graph
from astro_factory.core.plans import Hit, Import, Pending, PlannedNode
from astro_factory.plan.building import View, build_graph, planned_build
from astro_factory.plan.code_access import require_code
from astro_factory.plan.estimates import Estimate, estimates
from astro_factory.plan.locks import commits_for
from astro_factory.plan.planner import make_plan
from astro_factory.plan.preflight import preflight
from astro_factory.runtime import BuildOptions
from astro_factory.runtime.events import StageEvent
from astro_factory.runtime.node_execution import probe_node
from astro_factory.runtime.outcomes import Outcome, StageFailed
from astro_factory.runtime.processes import ProcessPool
from astro_factory.stages import stage_kind
from astro_factory.store import Store


@dataclass(frozen=True, slots=True)
class Probe:
    """A probed stage."""

    planned: PlannedNode
    estimate: Estimate | None
    """The estimate of its run after the probe; None if its result is there already, and if an input failed."""
    failure: str = ""
    """Why the probe failed; its finished items are kept."""


def probe(graph: Graph, store: Store, options: BuildOptions, view: View, stage: str, count: int) -> Probe:
    """Build what a stage reads, then make `count` of its items, which a later build takes from the store.

    Raises:
        UserError: E159 if the kind has no items, and what stops a build before it starts.
    """
    node = graph.nodes[stage]
    if "probe" not in stage_kind(node.module).hooks:
        raise UserError.of("E159", f"'{stage}' is a {node.kind} stage, which cannot be probed", "name a search stage")
    built = build_graph(graph, store, options, view, list(node.references)).build
    planned = make_plan(
        graph,
        store,
        targets=[stage],
        commits=commits_for(graph.only([stage]), locked=options.locked),
        use_imports=options.use_imports,
        caches=options.caches,
    )
    item = planned.nodes[stage]
    if isinstance(item, Hit | Import):
        return Probe(item, None)
    if isinstance(item, Pending):
        failures = "; ".join(f"{name}: {reason}" for name, reason in built.failures.items())
        return Probe(item, None, failures or item.reason)
    require_code(planned, options.trust)
    preflight(planned, online=True)
    results = {name: found for name in item.node.references if (found := planned.nodes[name].result)}
    failure, pool, start = "", ProcessPool(code_variables(graph.code_modules())), time.monotonic()
    with view(planned, planned_build(planned, {})) as watch, store.building():
        watch(stage, {"event": "start", "reason": f"probe of {count:,}"})

        def send(event: StageEvent) -> None:
            watch(stage, event)

        try:
            probe_node(planned, item, results, store, send, pool, count)
        except (StageFailed, UserError) as error:
            failure = str(error)
        finally:
            pool.close()
        outcome = Outcome.FAILED if failure else Outcome.RAN
        seconds = time.monotonic() - start
        watch(stage, {"event": "end", "outcome": outcome, "reason": failure, "seconds": seconds})
    return Probe(item, estimates(planned, store)[stage], failure)
