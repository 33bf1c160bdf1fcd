"""Beam search: the model proposes, and at each level only the best states are gone on from."""

import math

from astro_factory.search.config import BeamConfig
from astro_factory.search.expansion import expand, settle
from astro_factory.search.stopping import Stopping
from astro_factory.search.tree_builder import PolicyRun, TreeBuilder


def grow(builder: TreeBuilder, config: BeamConfig) -> PolicyRun:
    """Levels until no state is open, or the stop rule holds."""
    stopping, beam = Stopping(builder, config.stop), [0]
    while beam:
        opened = yield from expand(builder, config, beam)
        if stopping.now():
            break
        beam = sorted(opened, key=lambda node: -_rank(builder, config, node))[: config.width]
    settle(builder)


def _rank(builder: TreeBuilder, config: BeamConfig, node: int) -> float:
    nodes = builder.tree.nodes
    if config.rank == "self_evaluation":
        return nodes[node].reward
    return math.prod(nodes[index].prior for index in builder.tree.path(node))
