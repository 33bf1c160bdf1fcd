"""Asks the model for its own opinion of states in a tree."""

from collections.abc import Sequence

from astro_factory.search.config import SelfEvaluation
from astro_factory.search.tree_builder import PolicyRun, SampleRequest, TreeBuilder


def evaluate(builder: TreeBuilder, nodes: Sequence[int], config: SelfEvaluation) -> PolicyRun:
    """Sample the votes on each node's state and add them to the node's scores: 1 for a yes, 0 for anything else."""
    requests = [
        SampleRequest(
            node, "evaluation", config.votes, config.max_tokens, (), builder.evaluation_prompt(node, config.prompt)
        )
        for node in nodes
    ]
    results = (yield from builder.sample(*requests)) if requests else []
    for node, samples in zip(nodes, results, strict=True):
        builder.scores[node] += [float(_is_yes(config.yes, sample.text)) for sample in samples]


def _is_yes(yes: str, text: str) -> bool:
    return text.strip().lower().startswith(yes.lower())
