"""Shared by beam, depth-first and breadth-first search: expanding nodes, scoring states, and the final values."""

from collections.abc import Sequence

from astro_factory.core.verdicts import Outcome
from astro_factory.search.config import StepsConfig
from astro_factory.search.priors import set_priors
from astro_factory.search.prompts import mean
from astro_factory.search.self_evaluation import evaluate
from astro_factory.search.tree_builder import Sampling, TreeBuilder


def expand(builder: TreeBuilder, config: StepsConfig, nodes: Sequence[int]) -> Sampling[list[int]]:
    """Sample k next steps from each node and add them as children, with priors.

    With `self_evaluation`, the model's vote on each open child becomes its reward; if the policy asks the verifier,
    its value does.

    Returns:
        The children that can be expanded further: grouped by parent in the given order, most likely first. If the
        policy asks the verifier, those with the highest values come first.
    """
    requests = [builder.step_request(node, config.expansions, config.max_step_tokens) for node in nodes]
    results = (yield from builder.sample(*requests)) if requests else []
    tree, open_children = builder.tree, []
    for node, samples in zip(nodes, results, strict=True):
        for sample in samples:
            parsed = builder.parse(node, sample).first()
            logprobs = builder.line_logprobs(sample) if config.prior == "logprob" and parsed.steps else []
            builder.add_path(node, parsed, logprobs, config.merge_equal_steps)
        set_priors(builder, node, config.prior)
        children = [child for child in builder.children[node] if not tree.nodes[child].terminal]
        open_children += sorted(children, key=lambda child: -tree.nodes[child].prior)
    tree.iterations += len(nodes)
    open_children = [child for child in open_children if not builder.at_max_depth(child)]
    if config.self_evaluation:
        yield from evaluate(builder, open_children, config.self_evaluation)
    elif config.asks_verifier:
        builder.ask_verifier(open_children)
        open_children.sort(key=lambda child: -state_score(builder, config, child))
    for child in open_children:
        if scores := builder.scores[child]:
            tree.nodes[child].reward, tree.nodes[child].rollouts = mean(scores), len(scores)
    return open_children


def state_score(builder: TreeBuilder, config: StepsConfig, node: int) -> float:
    """How promising a state looks: by the verifier if the policy asks it, by the model's opinion with
    `self_evaluation`, else by the prior of its last step.

    Where the verifier knows nothing of a state, what it knew of the nearest state before counts, or else 1.
    """
    nodes = builder.tree.nodes
    if not config.asks_verifier:
        return nodes[node].reward if config.self_evaluation else nodes[node].prior
    while node and not builder.scores[node]:
        node = nodes[node].parent
    return mean(builder.scores[node]) if node else 1.0


def back_up_terminals(builder: TreeBuilder) -> None:
    """Set each node's visits to the number of terminals at or below it, and its value to their mean score.

    Without any such terminal, the value is the model's opinion.
    """
    nodes = builder.tree.nodes
    scores = [0.0] * len(nodes)
    for index in range(len(nodes) - 1, -1, -1):  # children come after their parents
        node = nodes[index]
        if node.terminal:
            node.visits, scores[index] = 1, float(node.verdict == Outcome.CORRECT)
            node.reward = scores[index]
        if node.parent >= 0:
            nodes[node.parent].visits += node.visits
            scores[node.parent] += scores[index]
        node.value = scores[index] / node.visits if node.visits else node.reward
