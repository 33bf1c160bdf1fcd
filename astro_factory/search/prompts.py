"""Prompts of tree nodes as token ids: the ids of the conversation, then those of the steps, each with its delimiter."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from astro_factory.core.chat import encode_prompt, encode_text
from astro_factory.core.problems import Problem
from astro_factory.search.config import SamplingConfig


class Prompts:
    """Encodes steps one by one: a step has the same ids wherever it occurs, and is encoded once."""

    def __init__(self, tokenizer: Any, config: SamplingConfig):
        self._tokenizer = tokenizer
        self._config = config
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
        user = self._config.delimiter.join(steps).join(parts)
        return tuple(encode_prompt(self._tokenizer, [{"role": "user", "content": user}]))

    def _step(self, text: str) -> tuple[int, ...]:
        return tuple(encode_text(self._tokenizer, text + self._config.delimiter))

    def line_logprobs(self, ids: Sequence[int], logprobs: Sequence[float]) -> list[float]:
        """Mean token log-probability of each line of a sample, including the tokens of its delimiter."""

        def lines_ended(count: int) -> int:
            return self._tokenizer.decode(ids[:count], skip_special_tokens=True).count(self._config.delimiter)

        counts = range(len(ids) + 1)
        cuts = [bisect_left(counts, line, key=lines_ended) for line in range(1, lines_ended(len(ids)) + 1)]
        return [mean(logprobs[first:last]) for first, last in pairwise([0, *cuts, len(ids)])]


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0 for an empty sequence."""
    return sum(values) / len(values) if values else 0.0
