"""Checks before anything runs what would stop a build later: packages, modules of adapters, and for publications names,
licence terms and, online, access rights."""

from dataclasses import replace

from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.plans import Hit, Plan, ToRun
from astro_factory.plan.adapter_modules import adapter_faults
from astro_factory.plan.packages import missing_packages
from astro_factory.stages import stage_kind


def preflight(plan: Plan, *, online: bool) -> None:
    """Run the `preflight` hook of every node that is not a hit. Raises one `UserError` with all findings.

    Stages that certainly run need their packages (E185). One that is pending may become a hit.
    """
    certain = [item.node for item in plan.nodes.values() if isinstance(item, ToRun)]
    found: list[Diagnostic] = missing_packages(certain, "E185")
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
