"""Prompts of tree nodes as token ids: the ids of the conversation, then those of the steps, each with its separator."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

from astro_factory.core.chat import encode_prompt, encode_text
from astro_factory.core.problems import Problem
from astro_factory.core.step_format import Delimiter, written
from astro_factory.engines.base import Sample
from astro_factory.search.config import SamplingConfig


class Prompts:
    """Encodes steps one by one: a step has the same ids wherever it occurs, and is encoded once."""

    def __init__(self, tokenizer: Any, config: SamplingConfig):
        self._tokenizer = tokenizer
        self._config = config
        self._layout = config.step_layout
        self.step = lru_cache(maxsize=1 << 16)(self._step)

    def root(self, problem: Problem) -> tuple[int, ...]:
        """Ids up to the point where the model writes the first step."""
        user = self._config.user_prompt.replace("{question}", problem.question)
        messages = [{"role": "user", "content": user}]
        if self._config.system_prompt:
            messages.insert(0, {"role": "system", "content": self._config.system_prompt})
        return tuple(encode_prompt(self._tokenizer, messages))

    def evaluation(self, problem: Problem, steps: Sequence[str], template: str) -> tuple[int, ...]:
        """Ids up to the point where the model answers a question about a state."""
        before, _, after = template.partition("{steps}")
        parts = [part.replace("{question}", problem.question) for part in (before, after)]
        user = written(self._layout, steps).join(parts)
        return tuple(encode_prompt(self._tokenizer, [{"role": "user", "content": user}]))

    def _step(self, text: str, number: int) -> tuple[int, ...]:
        return tuple(encode_text(self._tokenizer, self._layout.write(text, number) + self._layout.separator))

    def with_stop(self, sample: Sample, stop: Sequence[str]) -> Sample:
        """The sample with the stop string that ended it in its text, since the string's first character belongs to the
        step."""
        if sample.finish != "stop":
            return sample
        rest = self._text(sample.ids)[len(sample.text) :]
        found = next((one for one in stop if rest.startswith(one)), "")
        return replace(sample, text=sample.text + found)

    def _text(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def line_logprobs(self, ids: Sequence[int], logprobs: Sequence[float], text: str = "") -> list[float]:
        """Mean token log-probability of each line of a sample, including the tokens of its delimiter.

        With a step format, of each piece that it splits the sample's `text` into.
        """
        if not isinstance(self._layout, Delimiter):
            return self._piece_logprobs(ids, logprobs, text)
        delimiter = self._layout.separator

        def lines_ended(count: int) -> int:
            return self._text(ids[:count]).count(delimiter)

        counts = range(len(ids) + 1)
        cuts = [bisect_left(counts, line, key=lines_ended) for line in range(1, lines_ended(len(ids)) + 1)]
        return [mean(logprobs[first:last]) for first, last in pairwise([0, *cuts, len(ids)])]

    def _piece_logprobs(self, ids: Sequence[int], logprobs: Sequence[float], text: str) -> list[float]:
        starts = [piece.start for piece in self._layout.split(text)]
        counts = range(len(ids) + 1)
        cuts = [bisect_left(counts, start + 1, key=lambda count: len(self._text(ids[:count]))) - 1 for start in starts]
        return [mean(logprobs[first:last]) for first, last in pairwise([0, *cuts[1:], len(ids)])]


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0 for an empty sequence."""
    return sum(values) / len(values) if values else 0.0
