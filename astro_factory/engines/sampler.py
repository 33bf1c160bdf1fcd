"""Batched sampling from a loaded model: the inner loop of search, evaluation and reinforcement learning.

    sampler = Sampler(model, tokenizer, batch_size=256)
    [[sample, other]] = sampler.generate([Request(prompt_ids, seeds=(1, 2), max_tokens=32, stop=("\\n",))])

Waiting prompts replace rows that have ended, and samples of one prompt share its prefill. A sample depends only on its
prompt, settings and seed (see `sampling` and `decoders`); the order of work depends only on the requests. The model's
weights are read at each call, so they may be trained between calls.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from astro_factory.engines.base import Request, Sample, SampleCollector, Stream, gather, room_for
from astro_factory.engines.decoders import MIN_ROWS, Decoder, decoder_for
from astro_factory.engines.sampling import pick, uniforms
from astro_factory.engines.stops import Stops, end_ids

_DROP_SHARE = 8
"""Ended rows are dropped once they are one in this many."""
_REFILL_SHARE = 4
"""Waiting prompts enter once one row in this many is free: many small lanes cost more than a few free rows."""


@dataclass(slots=True)
class _Sequence:
    """One unfinished sample."""

    ticket: Any
    request: Request
    index: int
    seed: int
    limit: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: Literal["stop", "eos", "length"] = "length"


class Sampler:
    """Samples from `model`, a causal language model of transformers, on its device."""

    def __init__(self, model: Any, tokenizer: Any, batch_size: int = 256, max_model_len: int | None = None):
        """`batch_size` is the number of rows; it affects speed and memory, not the samples."""
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = max(batch_size, MIN_ROWS)
        self.max_model_len = max_model_len or model.config.max_position_embeddings
        self._vocabulary = model.get_output_embeddings().weight.shape[0]
        self._stops = Stops(tokenizer, self._vocabulary)
        self._ends = end_ids(getattr(model, "generation_config", None), tokenizer)

    @torch.inference_mode()
    def generate(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """Samples for each request, in order, one per seed."""
        return gather(self.stream(), sorted(enumerate(requests), key=lambda pair: -len(pair[1].prompt_ids)))

    def stream(self) -> Stream:
        """An `engines.base.Stream`. Add prompts of similar lengths next to each other for speed."""
        return _SamplerStream(self)

    def _units(self, request: Request, ticket: Any) -> list[list[_Sequence]]:
        """Sequences that enter together: all seeds of a request, up to a batch."""
        limit = room_for(request, self.max_model_len)
        sequences = [_Sequence(ticket, request, index, seed, limit) for index, seed in enumerate(request.seeds)]
        return [sequences[i : i + self.batch_size] for i in range(0, len(sequences), self.batch_size)]

    def _sample(self, sequence: _Sequence) -> Sample:
        text = self._stops.text(sequence.ids)
        if sequence.finish == "stop":
            before = self._stops.cut(text, sequence.request.stop)
            text = text if before is None else before
        return Sample(tuple(sequence.ids), text, tuple(sequence.logprobs), sequence.finish)


class _SamplerStream(Stream):
    """Requests wait outside the batch until there are enough of them for a lane of their own."""

    def __init__(self, sampler: Sampler):
        self._sampler = sampler
        self._batch = _Batch(sampler, decoder_for(sampler.model))
        self._added: list[tuple[Any, Request]] = []
        self._collected = SampleCollector()

    def add(self, ticket: Any, request: Request) -> None:
        room_for(request, self._sampler.max_model_len)
        self._collected.expect(ticket, len(request.seeds))
        if request.seeds:
            self._added.append((ticket, request))

    @torch.inference_mode()
    def take(self) -> list[tuple[Any, list[Sample]]]:
        self._submit_added()
        while self._batch.busy and not self._collected.done:
            for sequence in self._batch.advance():
                self._collected.put(sequence.ticket, sequence.index, self._sampler._sample(sequence))
        return self._collected.take()

    def _submit_added(self) -> None:
        added = sum(len(request.seeds) for _, request in self._added)
        if added * _REFILL_SHARE < self._batch.count:
            return
        for ticket, request in sorted(self._added, key=lambda pair: -len(pair[1].prompt_ids)):
            self._batch.add(self._sampler._units(request, ticket))
        self._added = []


class _Batch:
    """The rows of one decoder as sequences enter and leave; a row whose sequence has ended is None."""

    def __init__(self, sampler: Sampler, decoder: Decoder):
        self._stops, self._ends, self._size = sampler._stops, sampler._ends, sampler.batch_size
        self._decoder = decoder
        self._waiting: deque[list[_Sequence]] = deque()
        self._device = sampler.model.get_output_embeddings().weight.device
        self._rows: list[_Sequence | None] = []
        self._alive = 0
        self._seeds = np.zeros(0, np.uint64)
        self._counts, self._limits, self._kinds = (np.zeros(0, np.int64) for _ in range(3))
        self._temperatures, self._scales = (torch.zeros(0, device=self._device) for _ in range(2))
        self._tokens = torch.zeros(0, dtype=torch.long, device=self._device)
        self._tables: dict[tuple[str, ...], int] = {}
        self._holds = self._completes = np.zeros((0, sampler._vocabulary), bool)

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._alive)

    @property
    def count(self) -> int:
        """Sequences that wait or are being sampled."""
        return self._alive + sum(map(len, self._waiting))

    def add(self, units: Sequence[list[_Sequence]]) -> None:
        self._waiting.extend(units)

    def advance(self) -> list[_Sequence]:
        """Sample one token for every row, or the first tokens of new rows; returns the sequences that end with it."""
        if self._has_room():
            ended = self._admit()
        else:
            ended = self._accept(self._decoder.step(self._tokens), np.arange(len(self._rows)))
        if (len(self._rows) - self._alive) * _DROP_SHARE >= len(self._rows):
            self._drop(MIN_ROWS)
        return ended

    def _has_room(self) -> bool:
        if not self._waiting or not self._alive:
            return bool(self._waiting)
        free = self._size - self._alive
        return self._decoder.refills and free * _REFILL_SHARE >= self._size and len(self._waiting[0]) <= free

    def _admit(self) -> list[_Sequence]:
        """Add rows for waiting units, prefill their prompts and sample their first tokens."""
        self._drop(0)
        prompts: dict[tuple[int, ...], int] = {}
        entering: list[_Sequence | None] = []
        sources = []
        while self._waiting and len(self._waiting[0]) <= self._size - self._alive - len(entering):
            for sequence in self._waiting.popleft():
                entering.append(sequence)
                sources.append(prompts.setdefault(sequence.request.prompt_ids, len(prompts)))
        known, rows = np.array(sources), np.arange(len(entering)) + self._alive
        while len(entering) + self._alive < MIN_ROWS:
            entering.append(None)
            sources.append(0)
        self._append(entering)
        logits = self._decoder.admit(list(prompts), torch.tensor(sources, device=self._device))
        return self._accept(logits[torch.from_numpy(known).to(self._device)], rows)

    def _append(self, entering: list[_Sequence | None]) -> None:
        def joined(array: np.ndarray, of: Callable[[_Sequence], int]) -> np.ndarray:
            return np.append(array, np.array([of(row) if row else 0 for row in entering], array.dtype))

        self._seeds, self._counts = joined(self._seeds, lambda s: s.seed), joined(self._counts, lambda s: 0)
        self._limits = joined(self._limits, lambda s: s.limit)
        self._kinds = joined(self._kinds, lambda s: self._kind(s.request.stop))
        temperatures = torch.tensor([row.request.temperature if row else 1.0 for row in entering], device=self._device)
        processed = torch.tensor([bool(row and row.request.processed_logprobs) for row in entering])
        scales = temperatures.where(processed.to(self._device) & (temperatures > 0), 1.0)
        self._temperatures = torch.cat([self._temperatures, temperatures])
        self._scales = torch.cat([self._scales, scales])
        self._tokens = F.pad(self._tokens, (0, len(entering)))
        self._rows += entering
        self._alive += sum(row is not None for row in entering)

    def _kind(self, stop: tuple[str, ...]) -> int:
        """Index into the stop tables for this set of stop strings."""
        if stop not in self._tables:
            self._tables[stop] = len(self._holds)
            tables = self._stops.tables(stop)
            self._holds = np.vstack([self._holds, tables.holds])
            self._completes = np.vstack([self._completes, tables.completes])
        return self._tables[stop]

    def _accept(self, logits: Tensor, rows: np.ndarray) -> list[_Sequence]:
        """Choose the next token of each row; returns the sequences that end with it."""
        index = torch.from_numpy(rows).to(self._device)
        uniform = torch.from_numpy(uniforms(self._seeds[rows], self._counts[rows])).to(self._device)
        chosen, logprobs = pick(logits, self._temperatures[index], uniform, self._scales[index])
        self._tokens[index] = chosen
        self._counts[rows] += 1
        tokens = chosen.cpu().numpy()
        is_end = np.isin(tokens, self._ends)
        is_stop, may_stop = self._holds[self._kinds[rows], tokens], self._completes[self._kinds[rows], tokens]
        is_full = self._counts[rows] >= self._limits[rows]
        ended = []
        flags = (is_end.tolist(), is_stop.tolist(), may_stop.tolist(), is_full.tolist())
        values = zip(rows.tolist(), tokens.tolist(), logprobs.tolist(), *flags, strict=True)
        for row, token, logprob, end, stop, partly, full in values:
            sequence = self._rows[row]
            if sequence is None:
                continue
            sequence.ids.append(token)
            sequence.logprobs.append(logprob)
            stop = stop or (partly and self._stops.ended(sequence.ids, sequence.request.stop))
            if end or stop or full:
                sequence.finish = "eos" if end else "stop" if stop else "length"
                self._rows[row] = None
                ended.append(sequence)
        self._alive -= len(ended)
        return ended

    def _drop(self, least: int) -> None:
        """Drop ended rows, but keep at least `least` rows."""
        spare = least - self._alive
        kept = []
        for index, row in enumerate(self._rows):
            if row is not None or spare > 0:
                kept.append(index)
                spare -= row is None
        if len(kept) == len(self._rows):
            return
        index = torch.tensor(kept, dtype=torch.long, device=self._device)
        self._decoder.keep(index)
        self._rows = [self._rows[i] for i in kept]
        self._seeds, self._counts = self._seeds[kept], self._counts[kept]
        self._limits, self._kinds = self._limits[kept], self._kinds[kept]
        self._temperatures, self._scales = self._temperatures[index], self._scales[index]
        self._tokens = self._tokens[index]
