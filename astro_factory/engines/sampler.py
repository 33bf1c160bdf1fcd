"""Batched sampling from a live model: the inner loop of search, evaluation and reinforcement learning.

    sampler = Sampler(model, tokenizer, batch_size=256)
    [[sample, other]] = sampler.generate([Request(prompt_ids, seeds=(1, 2), max_tokens=32, stop=("\\n",))])

Rows that end are replaced by waiting prompts at once, samples of one prompt share its prefill, and the batch shrinks
when nothing waits. A sample depends on its prompt, settings and seed only (see `sampling` and `decoders`); the order
of work is a function of the requests alone. The model's weights are read at each call, so training may go on between.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from astro_factory.engines.base import Request, Sample, room_for
from astro_factory.engines.decoders import MIN_ROWS, Decoder, decoder_for
from astro_factory.engines.sampling import pick, uniforms
from astro_factory.engines.stops import Stops

_REFILL_SHARE = 8
"""Waiting prompts enter when one row in this many is free: a prefill for a single row would stall all others."""


@dataclass(slots=True)
class _Sequence:
    """One sample in the making."""

    request: int
    index: int
    seed: int
    limit: int
    temperature: float
    stop: tuple[str, ...]
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: str = "length"


class Sampler:
    """Samples from `model`, a causal language model of transformers, on the device where it lives."""

    def __init__(self, model: Any, tokenizer: Any, batch_size: int = 256, max_model_len: int | None = None):
        """`batch_size` is the number of rows; it moves speed and memory, not the samples."""
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = max(batch_size, MIN_ROWS)
        self.max_model_len = max_model_len or model.config.max_position_embeddings
        self._vocabulary = model.get_output_embeddings().weight.shape[0]
        self._stops = Stops(tokenizer, self._vocabulary)
        self._ends = _end_ids(model, tokenizer)

    @torch.inference_mode()
    def generate(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """Samples for each request, in order, one for each of its seeds."""
        waiting = deque(self._units(requests))
        done: list[list[Sample | None]] = [[None] * len(request.seeds) for request in requests]
        decoder = decoder_for(self.model)
        while waiting:
            for sequence in _Batch(self, decoder, requests, waiting).run():
                done[sequence.request][sequence.index] = self._sample(sequence)
        return done  # type: ignore[return-value]

    def _units(self, requests: Sequence[Request]) -> list[list[_Sequence]]:
        """Sequences that enter together, longest prompts first: all seeds of a request, at most a batch of them."""
        units = []
        for number, request in enumerate(requests):
            limit = room_for(request, self.max_model_len)
            sequences = [
                _Sequence(number, index, seed, limit, request.temperature, request.stop)
                for index, seed in enumerate(request.seeds)
            ]
            units += [sequences[i : i + self.batch_size] for i in range(0, len(sequences), self.batch_size)]
        return sorted(units, key=lambda unit: -len(requests[unit[0].request].prompt_ids))

    def _sample(self, sequence: _Sequence) -> Sample:
        text = self._stops.text(sequence.ids)
        if sequence.finish == "stop":
            before = self._stops.cut(text, sequence.stop)
            text = text if before is None else before
        return Sample(tuple(sequence.ids), text, tuple(sequence.logprobs), sequence.finish)


class _Batch:
    """The rows of one decoder from the first prompt to the last ended sequence."""

    def __init__(self, sampler: Sampler, decoder: Decoder, requests: Sequence[Request], waiting: deque):
        self._stops, self._ends = sampler._stops, sampler._ends
        self._decoder, self._requests, self._waiting = decoder, requests, waiting
        self._device = sampler.model.get_output_embeddings().weight.device
        size = max(MIN_ROWS, min(sampler.batch_size, sum(len(unit) for unit in waiting)))
        self._rows: list[_Sequence | None] = [None] * size
        self._seeds = np.zeros(size, np.uint64)
        self._counts = np.zeros(size, np.int64)
        self._limits = np.ones(size, np.int64)
        self._temperatures = torch.ones(size, device=self._device)
        self._tokens = torch.zeros(size, dtype=torch.long, device=self._device)
        self._tables: dict[tuple[str, ...], int] = {}
        self._holds = self._completes = np.zeros((0, sampler._vocabulary), bool)
        self._kinds = np.zeros(size, np.int64)

    def run(self) -> list[_Sequence]:
        """Ended sequences, in the order of their ending; leaves in `waiting` what did not fit into this batch."""
        longest = max(len(self._requests[s.request].prompt_ids) + s.limit for unit in self._waiting for s in unit)
        self._decoder.start(len(self._rows), longest)
        ended = self._admit()
        while any(row is not None for row in self._rows):
            logits = self._decoder.step(self._tokens)
            ended += self._accept(logits, np.arange(len(self._rows)))
            free = sum(row is None for row in self._rows)
            if self._waiting and self._decoder.refills and free * _REFILL_SHARE >= len(self._rows):
                ended += self._admit()
            elif free and not (self._waiting and self._decoder.refills):
                self._shrink()
        return ended

    def _admit(self) -> list[_Sequence]:
        """Move waiting units into free rows, prefill their prompts and take their first tokens."""
        free = [i for i, row in enumerate(self._rows) if row is None]
        prompts: dict[tuple[int, ...], int] = {}
        rows, sources = [], []
        while self._waiting and len(self._waiting[0]) <= len(free) - len(rows):
            for sequence in self._waiting.popleft():
                row = free[len(rows)]
                prompt = self._requests[sequence.request].prompt_ids
                rows.append(row)
                sources.append(prompts.setdefault(prompt, len(prompts)))
                self._rows[row] = sequence
                self._seeds[row], self._counts[row], self._limits[row] = sequence.seed, 0, sequence.limit
                self._temperatures[row] = sequence.temperature
                self._kinds[row] = self._kind(sequence.stop)
        if not rows:
            return []
        index = torch.tensor(sources, device=self._device)
        logits = self._decoder.admit(list(prompts), torch.tensor(rows, device=self._device), index)
        return self._accept(logits[index], np.array(rows))

    def _kind(self, stop: tuple[str, ...]) -> int:
        """Row of the stop tables for this set of stop strings."""
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
        chosen, logprobs = pick(logits, self._temperatures[index], uniform)
        self._tokens[index] = chosen
        self._counts[rows] += 1
        tokens = chosen.cpu().numpy()
        is_end = np.isin(tokens, self._ends)
        is_stop, may_stop = self._holds[self._kinds[rows], tokens], self._completes[self._kinds[rows], tokens]
        is_full = self._counts[rows] >= self._limits[rows]
        finished, ended = [], []
        flags = (is_end.tolist(), is_stop.tolist(), may_stop.tolist(), is_full.tolist())
        values = zip(rows.tolist(), tokens.tolist(), logprobs.tolist(), *flags, strict=True)
        for row, token, logprob, end, stop, partly, full in values:
            sequence = self._rows[row]
            if sequence is None:
                continue
            sequence.ids.append(token)
            sequence.logprobs.append(logprob)
            stop = stop or (partly and self._stops.ended(sequence.ids, sequence.stop))
            if end or stop or full:
                sequence.finish = "eos" if end else "stop" if stop else "length"
                self._rows[row] = None
                finished.append(row)
                ended.append(sequence)
        if finished:
            self._decoder.release(torch.tensor(finished, device=self._device))
        return ended

    def _shrink(self) -> None:
        """Drop ended rows once a quarter of the batch has ended; never below the rows that keep results exact."""
        alive = [i for i, row in enumerate(self._rows) if row is not None]
        ended = [i for i, row in enumerate(self._rows) if row is None]
        if not alive or 4 * len(alive) > 3 * len(self._rows):
            return
        kept = alive + ended[: max(0, MIN_ROWS - len(alive))]
        if len(kept) == len(self._rows):
            return
        index = torch.tensor(kept, device=self._device)
        self._decoder.keep(index)
        self._rows = [self._rows[i] for i in kept]
        self._seeds, self._counts = self._seeds[kept], self._counts[kept]
        self._limits, self._kinds = self._limits[kept], self._kinds[kept]
        self._temperatures, self._tokens = self._temperatures[index], self._tokens[index]


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Ids that end a sample: the tokenizer's and those of the model's generation settings."""
    ids = {tokenizer.eos_token_id}
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids |= set(configured) if isinstance(configured, (list, tuple)) else {configured}
    return sorted(i for i in ids if i is not None)
