"""A round's responses without padding: sorted by length, packed, and trimmed to the longest row.

    for batch in split_by_length(round, parts=4):        # equal numbers of rows, similar lengths
        for rows in forward_passes(lengths, None, PASS_TOKENS):    # few enough tokens for the caches
            token_statistics(model, ids[rows], mask[rows], width, temperature)

The model gets no attention mask. Padding is on the right, where causal attention does not look, and PyTorch's fast
kernels take no mask.

Results have the shape of the padded input, so callers need not know about packing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from astro_factory.training.batches import padded_width
from astro_factory.training.corpus import IGNORED

PASS_TOKENS = 4096
"""Tokens of one forward pass on a CPU. Attention over more tokens exceeds the caches and takes twice as long."""


class TokenStatistics(NamedTuple):
    """Values of each response token; shape [rows, width], 0 at padding."""

    log_probs: Tensor
    entropy: Tensor


def split_by_length(batch: dict[str, Tensor], parts: int) -> list[dict[str, Tensor]]:
    """A round's responses, sorted by length, in `parts` micro-batches of equally many rows."""
    shares = batch["completion_mask"].sum(1).argsort(stable=True).chunk(parts)
    return [{key: value[share] if value.ndim else value for key, value in batch.items()} for share in shares]


def flatten_rows(inside: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    """Sequences one after the other as a single row, without padding.

    Args:
        inside: true at tokens; shape [rows, width].
        values: same shape.

    Returns:
        The positions of the tokens in their sequences, then the values; shape [1, tokens]. Without a cache,
        transformers sees by the positions where a sequence begins, and lets tokens attend to their own one only.
    """
    positions = torch.arange(inside.shape[1], device=inside.device).expand(inside.shape)
    return tuple(value[inside][None] for value in (positions, *values))


def token_statistics(
    model: nn.Module, ids: Tensor, mask: Tensor, width: int, temperature: float, flattens: bool = False
) -> TokenStatistics:
    """Log-probabilities and entropies of the last `width` columns of `ids` where `mask` is 1.

    Args:
        ids: prompts padded on the left, then responses padded on the right; shape [rows, prompt width + `width`].
        mask: 1 at tokens, 0 at padding; same shape.
        flattens: see `settings.TrainingConfig.flattens`.
    """
    responses = mask[:, -width:].bool()
    starts, ends = mask[:, :-width].sum(1, keepdim=True), mask.sum(1, keepdim=True)
    longest = min(padded_width(int(ends.max())), ids.shape[1])
    packed = ids.gather(1, mask.argsort(dim=1, descending=True, stable=True))[:, :longest]
    place = torch.arange(longest, device=ids.device)
    in_response = (place >= starts) & (place < ends)
    inputs = {"input_ids": packed}
    if flattens:
        positions, packed, in_response = flatten_rows(place < ends, packed, in_response)
        inputs = {"input_ids": packed, "position_ids": positions}
    learned = in_response[:, 1:]
    if ids.is_cuda:
        labels = packed.masked_fill(~in_response, IGNORED)
        outputs = model(**inputs, labels=labels, use_cache=False, fused_lm_head=True)
        values = outputs.log_probs[learned], outputs.entropy[learned]
    else:
        logits = model(**inputs, use_cache=False).logits[:, :-1][learned]
        log_probs = (logits.float() / temperature).log_softmax(-1)
        chosen = log_probs.gather(-1, packed[:, 1:][learned][:, None])[:, 0]
        values = chosen, -(log_probs.detach().exp() * log_probs.detach()).sum(-1)
    # Packing keeps the order of rows and tokens, so the packed values fill the padded positions in sequence.
    padded = values[0].new_zeros(responses.shape)
    return TokenStatistics(*(padded.masked_scatter(responses, value) for value in values))


def forward_passes(lengths: Sequence[int], max_rows: int | None, max_tokens: int) -> list[slice]:
    """Consecutive rows of each pass: at most `max_rows` rows and `max_tokens` tokens with padding, at least one row.

    `max_rows` None and `max_tokens` 0 mean no limit.
    """
    shares, start, width = [], 0, 0
    for row, length in enumerate(lengths):
        wider = max(width, padded_width(length))
        if row > start and (row - start == max_rows or (max_tokens and (row - start + 1) * wider > max_tokens)):
            shares.append(slice(start, row))
            start, wider = row, padded_width(length)
        width = wider
    return [*shares, slice(start, len(lengths))]
