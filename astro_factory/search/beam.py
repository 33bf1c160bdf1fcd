"""Beam search: sample next steps level by level and expand only the best states of each level."""

import math

from astro_factory.search.config import BeamConfig
from astro_factory.search.expansion import back_up_terminals, expand, state_score
from astro_factory.search.stopping import StopCondition
from astro_factory.search.tree_builder import PolicyRun, TreeBuilder


def grow(builder: TreeBuilder, config: BeamConfig) -> PolicyRun:
    """Expand level by level until no open state is left or the stop rule holds."""
    stop, beam = StopCondition(builder, config.stop), [0]
    while beam:
        open_children = yield from expand(builder, config, beam)
        if stop.is_met():
            break
        beam = sorted(open_children, key=lambda node: -_rank(builder, config, node))[: config.width]
    back_up_terminals(builder)


def _rank(builder: TreeBuilder, config: BeamConfig, node: int) -> float:
    nodes = builder.tree.nodes
    if config.rank != "likelihood":
        return state_score(builder, config, node)
    return math.prod(nodes[index].prior for index in builder.tree.path(node))
