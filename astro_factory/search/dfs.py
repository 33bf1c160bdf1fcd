"""Depth-first search with the model as proposer, as tree-of-thought systems do it."""

from astro_factory.search.config import DfsConfig
from astro_factory.search.expansion import expand, settle, worth
from astro_factory.search.stopping import Stopping
from astro_factory.search.tree_builder import PolicyRun, TreeBuilder


def grow(builder: TreeBuilder, config: DfsConfig) -> PolicyRun:
    """Go on from the last state found until the budget is spent, nothing is open, or the stop rule holds."""
    stopping, stack = Stopping(builder, config.stop), [0]
    while stack and builder.tree.iterations < config.max_expansions:
        opened = yield from expand(builder, config, [stack.pop()])
        if stopping.now():
            break
        stack += [node for node in reversed(opened) if worth(builder, config, node) >= config.prune_below]
    settle(builder)
