"""What beam, depth-first and breadth-first search share: expanding nodes step by step, and the values at the end."""

from collections.abc import Generator, Sequence

from astro_factory.core.verdicts import Outcome
from astro_factory.engines.base import Request, Sample
from astro_factory.search.config import StepsConfig
from astro_factory.search.priors import set_priors
from astro_factory.search.prompts import mean
from astro_factory.search.self_evaluation import evaluate
from astro_factory.search.tree_builder import SampleRequest, TreeBuilder


def expand(
    builder: TreeBuilder, config: StepsConfig, nodes: Sequence[int]
) -> Generator[list[Request], list[list[Sample]], list[int]]:
    """Sample k next steps from each node and make their nodes, with priors and, where it is asked for, the model's
    opinion as reward. Returns the children that can be gone on from: parents in their order, likeliest first."""
    queries = [
        SampleRequest(node, "step", config.expansions, config.max_step_tokens, (config.delimiter,)) for node in nodes
    ]
    results = (yield from builder.sample(*queries)) if queries else []
    tree, opened = builder.tree, []
    for node, samples in zip(nodes, results, strict=True):
        for sample in samples:
            parsed = builder.read(node, sample).first()
            measured = builder.line_logprobs(sample) if config.prior == "logprob" and parsed.steps else []
            builder.enter(node, parsed, measured, config.merge_equal_steps)
        set_priors(builder, node, config.prior)
        children = [child for child in builder.children[node] if not tree.nodes[child].terminal]
        opened += sorted(children, key=lambda child: -tree.nodes[child].prior)
    tree.iterations += len(nodes)
    opened = [child for child in opened if not builder.too_deep(child)]
    if config.self_evaluation:
        yield from evaluate(builder, opened, config.self_evaluation)
        for child in opened:
            tree.nodes[child].reward, tree.nodes[child].rollouts = (
                mean(builder.scores[child]),
                len(builder.scores[child]),
            )
    return opened


def worth(builder: TreeBuilder, config: StepsConfig, node: int) -> float:
    """How good a state looks by itself: the model's opinion where it was asked, else the prior of its last step."""
    found = builder.tree.nodes[node]
    return found.reward if config.self_evaluation else found.prior


def settle(builder: TreeBuilder) -> None:
    """A node's visits are the ends at or below it, its value their mean score; without any, the model's opinion."""
    nodes = builder.tree.nodes
    scores = [0.0] * len(nodes)
    for index in range(len(nodes) - 1, -1, -1):  # children stand after their parents
        node = nodes[index]
        if node.terminal:
            node.visits, scores[index] = 1, float(node.verdict == Outcome.CORRECT)
            node.reward = scores[index]
        if node.parent >= 0:
            nodes[node.parent].visits += node.visits
            scores[node.parent] += scores[index]
        node.value = scores[index] / node.visits if node.visits else node.reward
