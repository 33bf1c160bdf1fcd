"""Plans a build: gives each node a record and a key, and decides what must run and why."""

from astro_factory.plan.planner import make_plan

__all__ = ["make_plan"]
