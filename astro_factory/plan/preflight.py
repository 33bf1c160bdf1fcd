"""What would stop a publication, found before anything runs: names, terms, and with the network rights and gates."""

from dataclasses import replace

from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.results import Plan, Status
from astro_factory.stages import stage_kind


def preflight(plan: Plan, *, online: bool) -> None:
    """Ask every kind that can tell, for each node that is to run. Raises `UserError` with all they find."""
    found: list[Diagnostic] = []
    for item in plan.nodes.values():
        kind = stage_kind(item.node.module)
        if item.status is Status.HIT or "preflight" not in kind.hooks:
            continue
        upstream = [plan.graph.nodes[name] for name in sorted(plan.graph.closure(set(item.node.references)))]
        for diagnostic in kind.preflight(item.node.config, upstream, online):
            found.append(diagnostic if diagnostic.place else replace(diagnostic, place=item.node.place))
    if found:
        raise UserError(*found)
