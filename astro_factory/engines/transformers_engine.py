"""Samples from a model folder in this process (see `sampler`)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoTokenizer

from astro_factory.core.devices import torch_device
from astro_factory.engines.base import Engine, Request, Sample, Stream
from astro_factory.engines.config import TransformersConfig
from astro_factory.engines.sampler import Sampler
from astro_factory.training.loading import load_causal_model


class TransformersEngine(Engine):
    """Sets the number of CPU threads of the whole process, because bits may depend on it."""

    def __init__(self, config: TransformersConfig, folder: Path):
        torch.set_num_threads(config.threads)
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model = load_causal_model(folder, config.dtype).eval()
        model.to(device=torch_device(config.device))  # pyright: ignore[reportCallIssue]
        self._sampler = Sampler(model, self.tokenizer, config.batch_size, config.max_model_len)
        self.max_model_len = self._sampler.max_model_len

    def generate(self, requests: Sequence[Request]) -> list[list[Sample]]:
        return self._sampler.generate(requests)

    def stream(self) -> Stream:
        return self._sampler.stream()
