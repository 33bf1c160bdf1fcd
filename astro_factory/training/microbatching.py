"""Responses of a round as the model computes on them: sorted, moved together, and cut to what is there.

    for batch in cut(round, parts=4):                                    # equal numbers of rows, like lengths
        for rows in passes(lengths, most=None, tokens=PASS_TOKENS):      # few enough tokens for the caches
            per_token(model, ids[rows], mask[rows], width, temperature)

What comes out has the shape of what went in, so nobody else has to know.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from astro_factory.training.batches import padded_width
from astro_factory.training.corpus import IGNORED

PASS_TOKENS = 4096
"""Tokens in one forward pass on a CPU: attention over more of them falls out of its caches and takes twice as long."""


class PerToken(NamedTuple):
    """Of each response token; shape [rows, width], 0 where there is none."""

    log_probs: Tensor
    entropy: Tensor


def cut(batch: dict[str, Any], parts: int) -> list[dict[str, Any]]:
    """A round's responses, sorted by length, in `parts` micro-batches of equal numbers."""
    shares = batch["completion_mask"].sum(1).argsort(stable=True).chunk(parts)
    return [{key: value[share] if value.ndim else value for key, value in batch.items()} for share in shares]


def per_token(model: Any, ids: Tensor, mask: Tensor, width: int, temperature: float) -> PerToken:
    """Log-probabilities and entropies of the last `width` columns of `ids`, where `mask` is 1.

    Args:
        ids: prompts padded on the left, then responses padded on the right; shape [rows, prompt width + `width`].
        mask: 1 where `ids` has a token.
    """
    responses = mask[:, -width:].bool()
    starts, ends = mask[:, :-width].sum(1, keepdim=True), mask.sum(1, keepdim=True)
    longest = min(padded_width(int(ends.max())), ids.shape[1])
    packed = ids.gather(1, mask.argsort(dim=1, descending=True, stable=True))[:, :longest]
    place = torch.arange(longest, device=ids.device)
    attention = (place < ends).long()
    learned = ((place >= starts) & (place < ends))[:, 1:]
    if ids.is_cuda:
        labels = packed.masked_fill((place < starts) | (place >= ends), IGNORED)
        outputs = model(input_ids=packed, attention_mask=attention, labels=labels, fused_lm_head=True)
        values = outputs.log_probs[learned], outputs.entropy[learned]
    else:
        logits = model(input_ids=packed, attention_mask=attention, use_cache=False).logits[:, :-1][learned]
        chances = (logits.float() / temperature).log_softmax(-1)
        chosen = chances.gather(-1, packed[:, 1:][learned][:, None])[:, 0]
        values = chosen, -(chances.detach().exp() * chances.detach()).sum(-1)
    # Rows keep their order and tokens theirs, so the packed values fall into their places one after another.
    empty = values[0].new_zeros(responses.shape)
    return PerToken(*(empty.masked_scatter(responses, value) for value in values))


def passes(lengths: Sequence[int], most: int | None, tokens: int) -> list[slice]:
    """Consecutive rows that are computed together: at most `most` rows and, padding included, `tokens` tokens.

    0 tokens and no `most` are no limits; a pass has at least one row.
    """
    shares, start, width = [], 0, 0
    for row, length in enumerate(lengths):
        wider = max(width, padded_width(length))
        if row > start and (row - start == most or (tokens and (row - start + 1) * wider > tokens)):
            shares.append(slice(start, row))
            start, wider = row, padded_width(length)
        width = wider
    return [*shares, slice(start, len(lengths))]
