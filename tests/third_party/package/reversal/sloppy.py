"""The engine `sloppy`: spells the word of the prompt backwards, with mistakes that the seed decides."""

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Literal

from pydantic import Field

from astro_factory.core.chat import encode_text, terminator
from astro_factory.engines import Engine, Request, Sample
from astro_factory.engines.config import EngineSettings


class Config(EngineSettings):
    """Spells words backwards and makes mistakes."""

    kind: Literal["sloppy"]
    mistakes: float = Field(0.5, ge=0, le=1)
    """Probability of a wrong letter in a response."""
    max_model_len: int = Field(256, gt=1)
    """Longest prompt and sample together, in tokens."""


def open_engine(config: Config, folder: Path) -> Engine:
    return SloppyEngine(config, folder)


class SloppyEngine(Engine):
    def __init__(self, config: Config, folder: Path):
        from transformers import AutoTokenizer  # only here: `check` and `plan` import this module

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.max_model_len = config.max_model_len
        self._mistakes = config.mistakes

    def generate(self, requests: Sequence[Request]) -> list[list[Sample]]:
        return [[self._sample(request, seed) for seed in request.seeds] for request in requests]

    def _sample(self, request: Request, seed: int) -> Sample:
        prompt = self.tokenizer.decode(request.prompt_ids, skip_special_tokens=True)
        letters = list(re.findall(r"reverse (\w+)", prompt)[-1][::-1])
        random = Random(seed)
        if random.random() < self._mistakes:
            letters[random.randrange(len(letters))] = "x"
        text = "\n".join([*letters, f"answer {''.join(letters)}"])
        ids = (*encode_text(self.tokenizer, text), terminator(self.tokenizer))
        return Sample(ids, text, (-1.0,) * len(ids), "eos")
