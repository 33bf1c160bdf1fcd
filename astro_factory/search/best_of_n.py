"""Best of n: independent completions of a problem, merged into one tree."""

from astro_factory.search.config import BestOfNConfig
from astro_factory.search.priors import set_priors
from astro_factory.search.prompts import mean
from astro_factory.search.tree_builder import PolicyRun, SampleRequest, TreeBuilder

_ROOT = 0


def grow(builder: TreeBuilder, config: BestOfNConfig) -> PolicyRun:
    """Completions that start with the same steps share those nodes; a node's value is the mean over its completions."""
    [samples] = yield from builder.sample(
        SampleRequest(_ROOT, "rollout", config.n, config.max_rollout_tokens, config.rollout_stop)
    )
    builder.tree.iterations = config.n
    for sample in samples:
        parsed = builder.parse(_ROOT, sample)
        for node in (_ROOT, *builder.add_path(_ROOT, parsed, [])):
            builder.scores[node].append(parsed.score)
    for index, node in enumerate(builder.tree.nodes):
        node.visits = node.rollouts = len(builder.scores[index])
        node.value = node.reward = mean(builder.scores[index])
        set_priors(builder, index, "share")
