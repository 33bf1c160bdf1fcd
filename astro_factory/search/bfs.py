"""Breadth-first search with the model as proposer."""

from astro_factory.search.config import BfsConfig
from astro_factory.search.expansion import expand, settle, worth
from astro_factory.search.stopping import Stopping
from astro_factory.search.tree_builder import PolicyRun, TreeBuilder


def grow(builder: TreeBuilder, config: BfsConfig) -> PolicyRun:
    """Whole levels, the last one as far as the budget goes, until nothing is open or the stop rule holds."""
    stopping, level = Stopping(builder, config.stop), [0]
    while level := level[: config.max_expansions - builder.tree.iterations]:
        opened = yield from expand(builder, config, level)
        if stopping.now():
            break
        level = [node for node in opened if worth(builder, config, node) >= config.prune_below]
    settle(builder)
