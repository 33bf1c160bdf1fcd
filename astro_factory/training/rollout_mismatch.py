"""How far the probabilities of the engine that sampled a round are from those of the model in training.

The loss weighs each token, or each response, by the ratio of the two probabilities (importance sampling). Ratios beyond
the bounds are cut: truncated or set to 0. A sequence's ratio is a product over its tokens, so it leaves the bounds the
more often the longer the response is; that is why the shares are also given by length.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from astro_factory.training.rollout_settings import RolloutCorrection
from astro_factory.training.trainers import SAMPLING_PREFIX

_PARTS = 4
"""Intervals of lengths, of equal width."""


def log_prob_differences(trained: Tensor, sampled: Sequence[Sequence[float]]) -> tuple[Tensor, Tensor]:
    """The sum of the absolute differences in log-probability, and the number of tokens.

    Args:
        trained: log-probabilities of the model in training, 0 after a response's end; shape [responses, tokens].
        sampled: those of the sampler, one list for each response.
    """
    other = torch.zeros_like(trained, dtype=torch.float32)
    for row, values in enumerate(sampled):
        other[row, : len(values)] = torch.tensor(values, device=trained.device)
    tokens = torch.tensor(float(sum(map(len, sampled))), device=trained.device)
    return (trained.float() - other).abs().sum(), tokens


def mismatch(
    trained: Tensor, sampled: Tensor, mask: Tensor, correction: RolloutCorrection, max_tokens: int
) -> dict[str, float]:
    """Metrics of a round.

    Args:
        trained: log-probabilities of the model in training; shape [responses, tokens].
        sampled: those of the engine, NaN where it gives none.
        mask: 1 at the tokens of responses.
        max_tokens: the longest response that is possible.

    Returns:
        `sampling/mismatch`: mean absolute difference in log-probability per token. `sampling/effective`: effective
        sample size of the weights in use, as a share of the tokens or responses (Kish: (sum w)^2 / (n sum w^2)).
        `sampling/corrected`: share of the tokens whose weight is cut; `sampling/corrected/N`: of the tokens in
        responses of at most N tokens, and more than the next smaller N.
    """
    inside = mask.bool()
    difference = torch.where(inside, trained.float() - sampled.float(), 0.0).nan_to_num(nan=0.0)
    lengths = inside.sum(1)
    tokens = lengths.sum().clamp(min=1)
    by_sequence = correction.mode.startswith("sequence")
    ratio = (difference.sum(1, keepdim=True) if by_sequence else difference).exp()
    low = 0.0 if correction.min_ratio is None else correction.min_ratio
    cut = (ratio > correction.max_ratio) | (ratio < low)
    weights = (
        ratio.masked_fill(cut, 0.0) if correction.mode.endswith("mask") else ratio.clamp(low, correction.max_ratio)
    )
    used = weights[lengths > 0, 0] if by_sequence else weights[inside]
    cut_tokens = (cut & inside).sum(1)
    found = {
        "mismatch": difference.abs().sum() / tokens,
        "effective": used.sum().square() / (used.numel() * used.square().sum()).clamp(min=torch.finfo().tiny),
        "corrected": cut_tokens.sum() / tokens,
    }
    previous = 0
    for part in range(1, _PARTS + 1):
        longest = max_tokens * part // _PARTS
        rows = (lengths > previous) & (lengths <= longest)
        if rows.any():
            found[f"corrected/{longest}"] = cut_tokens[rows].sum() / lengths[rows].sum()
        previous = longest
    return {f"{SAMPLING_PREFIX}{name}": float(value) for name, value in found.items()}
