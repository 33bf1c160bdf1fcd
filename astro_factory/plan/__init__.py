"""From a graph and a store to a plan: a record and a key for each node, and what must run, with the reason."""

from astro_factory.plan.planner import make_plan

__all__ = ["make_plan"]
