"""Breadth-first search with the model as proposer."""

from astro_factory.search.config import BfsConfig
from astro_factory.search.expansion import back_up_terminals, expand, state_score
from astro_factory.search.stopping import StopCondition
from astro_factory.search.tree_builder import PolicyRun, TreeBuilder


def grow(builder: TreeBuilder, config: BfsConfig) -> PolicyRun:
    """Expand whole levels (the last one as far as the budget allows) until none is left or the stop rule holds."""
    stop, level = StopCondition(builder, config.stop), [0]
    while level := level[: config.max_expansions - builder.tree.iterations]:
        open_children = yield from expand(builder, config, level)
        if stop.is_met():
            break
        level = [node for node in open_children if state_score(builder, config, node) >= config.prune_below]
    back_up_terminals(builder)
