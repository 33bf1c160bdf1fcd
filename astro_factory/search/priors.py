"""P(a|S): how likely the policy makes each of a node's children, from the samples that went on from the node."""

import math

from astro_factory.search.growth import Growth
from astro_factory.search.prompts import mean


def set_priors(growth: Growth, parent: int, kind: str) -> None:
    """Give the children of a node their priors, which add up to 1; `kind` as in `MctsConfig.prior`."""
    children = growth.children[parent]
    weights = [_weight(growth, child, kind) for child in children]
    for child, weight in zip(children, weights, strict=True):
        growth.tree.nodes[child].prior = weight / sum(weights)


def _weight(growth: Growth, child: int, kind: str) -> float:
    if kind == "share":
        return growth.sampled[child]
    return math.exp(mean(growth.logprobs[child])) if kind == "logprob" else 1.0
