"""Depth-first search with the model as proposer, as tree-of-thought systems do it."""

from astro_factory.search.config import DfsConfig
from astro_factory.search.expansion import expand, settle, worth
from astro_factory.search.growth import Growing, Growth
from astro_factory.search.stopping import Stopping


def grow(growth: Growth, config: DfsConfig) -> Growing:
    """Go on from the last state found until the budget is spent, nothing is open, or the stop rule holds."""
    stopping, stack = Stopping(growth, config.stop), [0]
    while stack and growth.tree.iterations < config.max_expansions:
        opened = yield from expand(growth, config, [stack.pop()])
        if stopping.now():
            break
        stack += [node for node in reversed(opened) if worth(growth, config, node) >= config.prune_below]
    settle(growth)
