"""Forward passes for sampling: rows of a batch with their key-value cache, advanced one token at a time.

`LlamaDecoder` computes Llama's forward pass from the loaded model's own modules, so trained weights, biases and
adapters take effect. Rows that enter together form a lane with its own cache: they have similar lengths, so attention
reads little padding, while everything else is computed for all rows at once. `ModelDecoder` runs any causal model of
transformers through its public forward; its batches are filled once and only shrink.

Rows are independent: a row's logits have the same bits in every batch (CPU, fp32, one thread; measured, and tested in
`tests/engines`). For matrix products this holds from some number of rows on, hence `MIN_ROWS`: four on CPUs with AVX2,
up to 15 on CPUs with AMX.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_ROWS = 16
_LENGTH_UNIT = 16
"""Widths are multiples of this, one vector of the CPU: attention kernels sum a remainder in another order."""
_PREFILL_TOKENS = 4096
"""Prompt tokens of one forward pass."""
_HEADROOM = 64
"""Tokens that a new lane has room for beyond its prompts."""


class Decoder(ABC):
    """Rows of a batch: `admit` adds rows, `step` appends a token to every row, `keep` drops rows."""

    refills: bool
    """Whether `admit` may add rows while others continue."""

    @abstractmethod
    def admit(self, prompts: Sequence[Sequence[int]], sources: Tensor) -> Tensor:
        """Add a row for each source i, with prompt `prompts[sources[i]]`; returns next-token logits, one row a prompt.

        Pass prompts of similar lengths next to each other for speed.
        """

    @abstractmethod
    def step(self, tokens: Tensor) -> Tensor:
        """Append `tokens[r]` to row r; returns next-token logits of every row."""

    @abstractmethod
    def keep(self, rows: Tensor) -> None:
        """Keep these rows only; `rows` ascends."""


def decoder_for(model: Any) -> Decoder:
    """The fastest decoder that computes this model exactly."""
    fixed_rope = getattr(model.config, "rope_scaling", None) or {}
    plain = fixed_rope.get("rope_type", "default") in ("default", "linear", "llama3")
    return LlamaDecoder(model) if type(model).__name__ == "LlamaForCausalLM" and plain else ModelDecoder(model)


@dataclass
class _Lane:
    """The cache of rows that entered together, with room for further tokens."""

    lengths: Tensor
    keys: list[Tensor]
    """Per layer, [rows, heads, room, head size], aligned on the left."""
    values: list[Tensor]

    def reserve(self, length: int) -> None:
        room = self.keys[0].shape[2]
        if length > room:
            grown = _round_up(max(length, room + room // 2)) - room
            self.keys = [F.pad(cache, (0, 0, 0, grown)) for cache in self.keys]
            self.values = [F.pad(cache, (0, 0, 0, grown)) for cache in self.values]

    def keep(self, rows: Tensor) -> None:
        self.lengths = self.lengths[rows]
        self.keys = [cache.index_select(0, rows) for cache in self.keys]
        self.values = [cache.index_select(0, rows) for cache in self.values]


class LlamaDecoder(Decoder):
    refills = True

    def __init__(self, model: Any):
        config = model.config
        self._model = model
        self._heads = config.num_key_value_heads
        self._groups = config.num_attention_heads // config.num_key_value_heads
        self._size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._layers = model.model.layers
        self._cos = self._sin = torch.empty(0, self._size)
        self._lanes: list[_Lane] = []

    def admit(self, prompts: Sequence[Sequence[int]], sources: Tensor) -> Tensor:
        lengths = torch.tensor([len(p) for p in prompts], device=sources.device)
        lane = self._open(lengths[sources])
        logits, first = [], 0
        while first < len(prompts):
            width = _round_up(len(prompts[first]))
            most, last = max(1, _PREFILL_TOKENS // width), first + 1
            while last < min(len(prompts), first + most) and _round_up(len(prompts[last])) == width:
                last += 1
            rows = ((sources >= first) & (sources < last)).nonzero()[:, 0]
            logits.append(self._prefill(lane, prompts[first:last], lengths[first:last], rows, sources[rows] - first))
            first = last
        return torch.cat(logits)

    def _open(self, lengths: Tensor) -> _Lane:
        room = _round_up(int(lengths.max()) + _HEADROOM)
        weight, shape = self._model.model.embed_tokens.weight, (len(lengths), self._heads, room, self._size)
        keys, values = ([weight.new_zeros(shape) for _ in self._layers] for _ in range(2))
        self._lanes.append(_Lane(lengths, keys, values))
        return self._lanes[-1]

    def _prefill(
        self, lane: _Lane, prompts: Sequence[Sequence[int]], lengths: Tensor, rows: Tensor, sources: Tensor
    ) -> Tensor:
        """Prompts of one rounded length, padded on the right; under a causal mask no real token sees the padding.

        A prompt always has the same width: attention kernels block by the width, and rounding depends on the blocks.
        """
        width = _round_up(int(lengths.max()))
        ids = torch.zeros(len(prompts), width, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = torch.tensor(prompt)
        hidden = self._model.model.embed_tokens(ids.to(lengths.device))
        cos, sin = self._rope(width)
        cos, sin = cos[:width, None], sin[:width, None]
        for index, layer in enumerate(self._layers):
            query, key, value = self._project(layer, hidden, cos, sin)
            query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=self._groups > 1)
            hidden = self._finish(layer, hidden, mixed.transpose(1, 2).flatten(2))
            lane.keys[index][rows, :, :width] = key[sources]
            lane.values[index][rows, :, :width] = value[sources]
        ends = torch.arange(len(prompts), device=lengths.device)
        return self._head(hidden[ends, lengths - 1])

    def step(self, tokens: Tensor) -> Tensor:
        places = torch.cat([lane.lengths for lane in self._lanes])
        cos, sin = self._rope(int(places.max()) + 1)
        cos, sin = cos[places, None, None], sin[places, None, None]
        sizes = [len(lane.lengths) for lane in self._lanes]
        biases = [self._grow(lane) for lane in self._lanes]
        hidden = self._model.model.embed_tokens(tokens)[:, None]
        for index, layer in enumerate(self._layers):
            shares = zip(*(part.split(sizes) for part in self._project(layer, hidden, cos, sin)), strict=True)
            mixed = [
                self._attend(lane, index, *share, bias)
                for lane, share, bias in zip(self._lanes, shares, biases, strict=True)
            ]
            hidden = self._finish(layer, hidden, torch.cat(mixed))
        for lane in self._lanes:
            lane.lengths = lane.lengths + 1
        return self._head(hidden[:, 0])

    def _grow(self, lane: _Lane) -> Tensor:
        """Make room for a token per row; returns a bias [rows, 1, 1, width]: 0 at a row's tokens, -inf elsewhere."""
        longest = int(lane.lengths.max()) + 1
        lane.reserve(longest)
        places = torch.arange(_round_up(longest), device=lane.lengths.device)
        unseen = (places > lane.lengths[:, None])[:, None, None]
        return torch.zeros(unseen.shape, device=places.device).masked_fill_(unseen, -torch.inf)

    def keep(self, rows: Tensor) -> None:
        lanes, start = [], 0
        for lane in self._lanes:
            end = start + len(lane.lengths)
            mine = rows[(rows >= start) & (rows < end)] - start
            if 0 < len(mine) < end - start:
                lane.keep(mine)
            if len(mine):
                lanes.append(lane)
            start = end
        self._lanes = lanes

    def _rope(self, length: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines [length or more, head size] of the model's own rotary embedding."""
        if len(self._cos) < length:
            weight = self._model.model.embed_tokens.weight
            places = torch.arange(2 * length, device=weight.device)[None]
            cos, sin = self._model.model.rotary_emb(weight[:1], places)
            self._cos, self._sin = cos[0], sin[0]
        return self._cos, self._sin

    def _project(self, layer: Any, hidden: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key, value [rows, tokens, heads, size], the first two rotated."""
        attention, shape = layer.self_attn, (*hidden.shape[:2], -1, self._size)
        normed = _rms_norm(layer.input_layernorm, hidden)
        query, key = attention.q_proj(normed).view(shape), attention.k_proj(normed).view(shape)
        both = torch.cat((query, key), 2)
        left, right = both.chunk(2, -1)
        both = both * cos + torch.cat((-right, left), -1) * sin
        return both[:, :, : query.shape[2]], both[:, :, query.shape[2] :], attention.v_proj(normed).view(shape)

    def _attend(self, lane: _Lane, layer: int, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """Add one token per row to the cache and attend to all of it; [rows, 1, heads x size]."""
        rows, width = torch.arange(len(query), device=query.device), bias.shape[-1]
        keys, values = lane.keys[layer], lane.values[layer]
        keys[rows, :, lane.lengths] = key[:, 0]
        values[rows, :, lane.lengths] = value[:, 0]
        query = query.reshape(len(query), self._heads, self._groups, self._size) * self._size**-0.5
        scores = (query @ keys[:, :, :width].transpose(2, 3)).add_(bias)
        return (scores.softmax(-1) @ values[:, :, :width]).view(len(query), 1, -1)

    def _finish(self, layer: Any, hidden: Tensor, mixed: Tensor) -> Tensor:
        hidden = hidden + layer.self_attn.o_proj(mixed)
        return hidden + layer.mlp(_rms_norm(layer.post_attention_layernorm, hidden))

    def _head(self, hidden: Tensor) -> Tensor:
        rows = len(hidden)
        if rows < MIN_ROWS:
            hidden = F.pad(hidden, (0, 0, 0, MIN_ROWS - rows))
        return self._model.lm_head(_rms_norm(self._model.model.norm, hidden))[:rows]


class ModelDecoder(Decoder):
    """Any causal model of transformers; rows are aligned on the right, the cache is the model's own."""

    refills = False

    def __init__(self, model: Any):
        self._model = model
        self._cache: Any = None
        self._mask = torch.empty(0)

    def admit(self, prompts: Sequence[Sequence[int]], sources: Tensor) -> Tensor:
        """Replaces all earlier rows."""
        from transformers import DynamicCache

        device, width = sources.device, max(len(p) for p in prompts)
        ids = torch.zeros(len(prompts), width, dtype=torch.long)
        self._mask = torch.zeros(len(prompts), width, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            self._mask[row, width - len(prompt) :] = 1
        self._mask = self._mask.to(device)
        self._cache = DynamicCache(config=self._model.config)
        logits = self._forward(ids.to(device), (self._mask.cumsum(-1) - 1).clamp(min=0))
        self.keep(sources)
        return logits

    def step(self, tokens: Tensor) -> Tensor:
        self._mask = F.pad(self._mask, (0, 1), value=1)
        return self._forward(tokens[:, None], self._mask.sum(-1, keepdim=True) - 1)

    def keep(self, rows: Tensor) -> None:
        self._cache.batch_select_indices(rows)
        self._mask = self._mask[rows]

    def _forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        out = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1]


def _rms_norm(norm: Any, hidden: Tensor) -> Tensor:
    return F.rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _round_up(length: int) -> int:
    return -(-length // _LENGTH_UNIT) * _LENGTH_UNIT
