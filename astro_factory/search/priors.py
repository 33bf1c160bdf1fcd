"""P(a|S): how likely the policy makes each child of a node, estimated from the samples that continued the node."""

import math

from astro_factory.search.prompts import mean
from astro_factory.search.tree_builder import TreeBuilder


def set_priors(builder: TreeBuilder, parent: int, kind: str) -> None:
    """Set the priors of a node's children, which add up to 1. `kind` is `StepsConfig.prior`."""
    children = builder.children[parent]
    weights = [_weight(builder, child, kind) for child in children]
    for child, weight in zip(children, weights, strict=True):
        builder.tree.nodes[child].prior = weight / sum(weights)


def _weight(builder: TreeBuilder, child: int, kind: str) -> float:
    if kind == "share":
        return builder.sample_counts[child]
    return math.exp(mean(builder.logprobs[child])) if kind == "logprob" else 1.0
