"""Random numbers and token choice as pure functions of (seed, position): nothing depends on the batch or its order.

A sample's n-th token uses the n-th uniform of the sample's own counter-based stream, so the same seed gives the same
text whether it is sampled alone, in a batch of 256 or after a resume.
"""

from typing import Any

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def uniforms(seeds: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """A float64 in [0, 1) for each (seed, position): output `position` of the SplitMix64 generator with that seed."""
    with np.errstate(over="ignore"):
        state = seeds.astype(np.uint64) + (positions.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        state = (state ^ (state >> np.uint64(30))) * _MIX_1
        state = (state ^ (state >> np.uint64(27))) * _MIX_2
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)) * 2.0**-53


def pick(logits: Any, temperatures: Any, uniform: Any, scales: Any = None) -> tuple[Any, Any]:
    """Token and its log-probability for each row.

    `logits` [R, V] (any float type), `temperatures` [R] (0 = the most likely token), `uniform` [R] in [0, 1), `scales`
    [R] the temperatures of the log-probabilities, by default 1. The token is the inverse of the cumulative distribution
    at `uniform`.
    """
    import torch

    logits = logits.float()
    logprobs = logits.log_softmax(-1)
    greedy = temperatures <= 0
    if bool(greedy.all()):
        tokens = logits.argmax(-1)
    else:
        if bool((temperatures == 1).all()):
            weights = logprobs.exp()
        else:
            weights = (logits / torch.where(greedy, 1.0, temperatures)[:, None]).softmax(-1)
        cumulative = weights.cumsum(-1)
        total = cumulative[:, -1]
        target = (uniform * total.double()).float()
        # rounding must not put the target at the total, beyond the last token
        target = torch.minimum(target, torch.nextafter(total, torch.zeros_like(total)))
        tokens = torch.searchsorted(cumulative, target[:, None], right=True).squeeze(1)
        if bool(greedy.any()):
            tokens = torch.where(greedy, logits.argmax(-1), tokens)
    if scales is not None and bool((scales != 1).any()):
        logprobs = (logits / scales[:, None]).log_softmax(-1)
    return tokens, logprobs.gather(1, tokens[:, None]).squeeze(1)
