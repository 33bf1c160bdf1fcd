"""Best of n: independent completions of a problem as one tree."""

from astro_factory.search.config import BestOfNConfig
from astro_factory.search.growth import Ask, Growing, Growth
from astro_factory.search.priors import set_priors
from astro_factory.search.prompts import mean

_ROOT = 0


def grow(growth: Growth, config: BestOfNConfig) -> Growing:
    """Completions that begin with the same steps share these nodes; a node's value is the mean over its completions."""
    [samples] = yield from growth.ask(Ask(_ROOT, "rollout", config.n, config.max_rollout_tokens, config.rollout_stop))
    growth.tree.iterations = config.n
    for sample in samples:
        reading = growth.read(_ROOT, sample)
        for node in (_ROOT, *growth.enter(_ROOT, reading, [])):
            growth.scores[node].append(reading.score)
    for index, node in enumerate(growth.tree.nodes):
        node.visits = node.rollouts = len(growth.scores[index])
        node.value = node.reward = mean(growth.scores[index])
        set_priors(growth, index, "share")
