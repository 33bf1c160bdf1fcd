"""Depth-first search with the model as proposer, as in tree-of-thought systems."""

from astro_factory.search.config import DfsConfig
from astro_factory.search.expansion import back_up_terminals, expand, state_score
from astro_factory.search.stopping import StopCondition
from astro_factory.search.tree_builder import PolicyRun, TreeBuilder


def grow(builder: TreeBuilder, config: DfsConfig) -> PolicyRun:
    """Expand the state found last until the budget is spent, no state is open, or the stop rule holds."""
    stop, stack = StopCondition(builder, config.stop), [0]
    while stack and builder.tree.iterations < config.max_expansions:
        open_children = yield from expand(builder, config, [stack.pop()])
        if stop.is_met():
            break
        stack += [node for node in reversed(open_children) if state_score(builder, config, node) >= config.prune_below]
    back_up_terminals(builder)
