"""Checks before anything runs what would stop a publication: names, licence terms and, online, access rights."""

from dataclasses import replace

from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.plans import Hit, Plan
from astro_factory.stages import stage_kind


def preflight(plan: Plan, *, online: bool) -> None:
    """Run the `preflight` hook of every node that is not a hit. Raises one `UserError` with all findings."""
    found: list[Diagnostic] = []
    for item in plan.nodes.values():
        kind = stage_kind(item.node.module)
        if isinstance(item, Hit) or "preflight" not in kind.hooks:
            continue
        upstream = [plan.graph.nodes[name] for name in sorted(plan.graph.closure(set(item.node.references)))]
        for diagnostic in kind.preflight(item.node.config, upstream, online):
            found.append(diagnostic if diagnostic.place else replace(diagnostic, place=item.node.place))
    if found:
        raise UserError(*found)
