"""The model's own opinion of the states in a tree."""

from collections.abc import Generator, Sequence

from astro_factory.engines.base import Request, Sample
from astro_factory.search.config import SelfEvaluation
from astro_factory.search.tree_builder import SampleRequest, TreeBuilder


def evaluate(
    builder: TreeBuilder, nodes: Sequence[int], config: SelfEvaluation
) -> Generator[list[Request], list[list[Sample]], None]:
    """Ask for the votes on each node's state; they are the node's scores, 1 for a yes and 0 for all else."""
    queries = [
        SampleRequest(
            node, "evaluation", config.votes, config.max_tokens, (), builder.evaluation_prompt(node, config.prompt)
        )
        for node in nodes
    ]
    results = (yield from builder.sample(*queries)) if queries else []
    for node, samples in zip(nodes, results, strict=True):
        builder.scores[node] += [float(_says(config.yes, sample.text)) for sample in samples]


def _says(yes: str, text: str) -> bool:
    return text.strip().lower().startswith(yes.lower())
