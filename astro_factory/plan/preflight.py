"""Checks before anything runs what would stop a build later: packages, modules of adapters, and for publications names,
licence terms and, online, access rights."""

from collections.abc import Iterable
from dataclasses import replace

from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.graph import GraphNode
from astro_factory.core.plans import Hit, Plan, ToRun
from astro_factory.core.ray_cluster import unreachable, uses_ray
from astro_factory.plan.adapter_modules import adapter_faults
from astro_factory.plan.packages import missing_packages
from astro_factory.stages import stage_kind

_REACH_S = 5.0


def preflight(plan: Plan, *, online: bool) -> None:
    """Run the `preflight` hook of every node that is not a hit. Raises one `UserError` with all findings.

    Stages that certainly run need their packages (E185) and, online, their Ray cluster (E640). One that is pending may
    become a hit.
    """
    certain = _certain(plan)
    found: list[Diagnostic] = missing_packages(certain, "E185")
    if online:
        found += unreachable_cluster(certain, "E640")
    found += adapter_faults(plan.graph, {name for name, item in plan.nodes.items() if not isinstance(item, Hit)})
    for item in plan.nodes.values():
        kind = stage_kind(item.node.module)
        if isinstance(item, Hit) or "preflight" not in kind.hooks:
            continue
        upstream = [plan.graph.nodes[name] for name in sorted(plan.graph.closure(set(item.node.references)))]
        for diagnostic in kind.preflight(item.node.config, upstream, online):
            found.append(diagnostic if diagnostic.place else replace(diagnostic, place=item.node.place))
    if found:
        raise UserError(*found)


def require_cluster(plan: Plan) -> None:
    """Raise `UserError` E640 if stages that certainly run need a Ray cluster that cannot be reached from here."""
    if found := unreachable_cluster(_certain(plan), "E640"):
        raise UserError(*found)


def _certain(plan: Plan) -> list[GraphNode]:
    """The stages that will run."""
    return [item.node for item in plan.nodes.values() if isinstance(item, ToRun)]


def unreachable_cluster(nodes: Iterable[GraphNode], code: str) -> list[Diagnostic]:
    """The diagnostic about a Ray cluster that does not answer within seconds, at the first stage that runs on it."""
    first = next((node for node in nodes if uses_ray(node.config)), None)
    fault = unreachable(_REACH_S, code) if first else None
    return [replace(fault, place=first.place)] if first and fault else []
