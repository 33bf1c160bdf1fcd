"""Breadth-first search with the model as proposer."""

from astro_factory.search.config import BfsConfig
from astro_factory.search.expansion import expand, settle, worth
from astro_factory.search.growth import Growing, Growth
from astro_factory.search.stopping import Stopping


def grow(growth: Growth, config: BfsConfig) -> Growing:
    """Whole levels, the last one as far as the budget goes, until nothing is open or the stop rule holds."""
    stopping, level = Stopping(growth, config.stop), [0]
    while level := level[: config.max_expansions - growth.tree.iterations]:
        opened = yield from expand(growth, config, level)
        if stopping.now():
            break
        level = [node for node in opened if worth(growth, config, node) >= config.prune_below]
    settle(growth)
