"""What would stop a publication, found before anything runs: names, terms, and with the network rights and gates."""

import importlib
from dataclasses import replace

from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.results import Plan, Status


def preflight(plan: Plan, *, online: bool) -> None:
    """Ask every kind that can tell, for each node that is to run. Raises `UserError` with all they find."""
    found: list[Diagnostic] = []
    for item in plan.nodes.values():
        check = getattr(importlib.import_module(item.node.module), "preflight", None)
        if check is None or item.status is Status.HIT:
            continue
        upstream = [plan.graph.nodes[name] for name in sorted(plan.graph.closure(set(item.node.references)))]
        for diagnostic in check(item.node.config, upstream, online):
            found.append(diagnostic if diagnostic.place else replace(diagnostic, place=item.node.place))
    if found:
        raise UserError(*found)
