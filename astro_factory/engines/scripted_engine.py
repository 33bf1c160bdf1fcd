"""Fixed responses that behave like a model's: the seed chooses one, stop strings end it, log-probabilities add up."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

from astro_factory.core.chat import encode_text, terminator
from astro_factory.core.errors import UserError
from astro_factory.engines.base import Engine, Request, Sample, SampleStream, as_float32, room_for
from astro_factory.engines.config import ScriptedConfig
from astro_factory.engines.sampling import uniforms
from astro_factory.engines.stops import Stops


class ScriptedEngine(Engine):
    """The log-probability of a response is that of its draw from the list, spread evenly over its tokens."""

    def __init__(self, config: ScriptedConfig, folder: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self.max_model_len = config.max_model_len
        self._responses = sorted(config.responses.items(), key=lambda item: -len(item[0]))

    def generate(self, requests: Sequence[Request]) -> list[list[Sample]]:
        return [[self.sample(request, seed) for seed in request.seeds] for request in requests]

    def stream(self) -> "_ScriptedStream":
        return _ScriptedStream(self)

    def sample(self, request: Request, seed: int) -> Sample:
        """The sample of one seed."""
        limit = room_for(request, self.max_model_len)
        choices = self._choices(self.tokenizer.decode(request.prompt_ids, skip_special_tokens=True))
        chosen = 0 if request.temperature == 0 else int(_uniform(seed) * len(choices))
        ids = [*encode_text(self.tokenizer, choices[chosen]), terminator(self.tokenizer)]
        logprob = -math.log(len(choices)) / len(ids)
        length, finish = min(limit, len(ids)), "eos" if len(ids) <= limit else "length"
        text = self.tokenizer.decode(ids[:length], skip_special_tokens=True)
        for end in range(1, length + 1):
            before = Stops.cut(self.tokenizer.decode(ids[:end], skip_special_tokens=True), request.stop)
            if before is not None:
                length, text, finish = end, before, "stop"
                break
        return Sample(tuple(ids[:length]), text, as_float32([logprob] * length), finish)

    def _choices(self, prompt: str) -> list[str]:
        for ending, choices in self._responses:
            if prompt.endswith(ending):
                return choices
        raise UserError.of(
            "E608",
            f"the scripted engine has no response to a prompt that ends with {prompt[-60:]!r}",
            "add one to `responses`; the key '' fits every prompt",
        )


class _ScriptedStream(SampleStream):
    """One sample after the other."""

    def __init__(self, engine: ScriptedEngine):
        super().__init__()
        self._engine = engine
        self._waiting: deque[tuple[int, Request, int]] = deque()

    def _begin(self, number: int, request: Request, seed: int) -> None:
        self._waiting.append((number, request, seed))

    def _finished(self) -> Iterator[tuple[int, Sample]]:
        number, request, seed = self._waiting.popleft()
        yield number, self._engine.sample(request, seed)


def _uniform(seed: int) -> float:
    return float(uniforms(np.array([seed], np.uint64), np.zeros(1))[0])
