"""Beam search: the model proposes, and at each level only the best states are gone on from."""

import math

from astro_factory.search.config import BeamConfig
from astro_factory.search.expansion import expand, settle
from astro_factory.search.growth import Growing, Growth
from astro_factory.search.stopping import Stopping


def grow(growth: Growth, config: BeamConfig) -> Growing:
    """Levels until no state is open, or the stop rule holds."""
    stopping, beam = Stopping(growth, config.stop), [0]
    while beam:
        opened = yield from expand(growth, config, beam)
        if stopping.now():
            break
        beam = sorted(opened, key=lambda node: -_rank(growth, config, node))[: config.width]
    settle(growth)


def _rank(growth: Growth, config: BeamConfig, node: int) -> float:
    nodes = growth.tree.nodes
    if config.rank == "self_evaluation":
        return nodes[node].reward
    return math.prod(nodes[index].prior for index in growth.tree.path(node))
