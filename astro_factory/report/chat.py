"""Asking a built model: sampled responses, the template whose words they use, and the known problems."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.canonical import seed_for
from astro_factory.core.config import TemplateSource
from astro_factory.core.devices import torch_device
from astro_factory.core.models import model_source
from astro_factory.core.problems import Problem
from astro_factory.report.built import BuiltSpec


@dataclass(frozen=True)
class Sampling:
    """How responses are sampled."""

    samples: int = 1
    temperature: float = 1.0
    max_tokens: int = 512
    seed: int = 0


class ChatModel:
    """A model folder, loaded with transformers."""

    def __init__(self, folder: Path):
        import torch
        from transformers import AutoTokenizer
        from transformers.utils import logging

        from astro_factory.engines.sampler import Sampler
        from astro_factory.training.loading import load_causal_model

        logging.disable_progress_bar()
        source = model_source(folder)
        self._tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model = load_causal_model(source).eval()
        model.to(torch.device(torch_device()))  # pyright: ignore[reportArgumentType]
        self._sampler = Sampler(model, self._tokenizer)

    def ask(self, question: str, sampling: Sampling) -> list[str]:
        """The responses to a question, which depend on the seed alone."""
        from astro_factory.core.chat import encode_prompt
        from astro_factory.engines.base import Request

        ids = tuple(encode_prompt(self._tokenizer, [{"role": "user", "content": question}]))
        seeds = tuple(seed_for(sampling.seed, "chat", question, number) for number in range(sampling.samples))
        [found] = self._sampler.generate([Request(ids, seeds, sampling.max_tokens, sampling.temperature)])
        return [sample.text for sample in found]


def spoken_template(spec: BuiltSpec) -> TemplateSource | None:
    """The template whose words responses are read by: that of an evaluation, else of the first traces."""
    configs = [item.node.config for item in spec.planned.values()]
    found = [getattr(config, "backtracks", None) for config in configs]
    found += [getattr(item.node.config, "template", None) for item in spec.planned.values() if _makes_traces(item.node)]
    return next((template for template in found if isinstance(template, TemplateSource)), None)


def _makes_traces(node: object) -> bool:
    return getattr(node, "output", None) is ArtifactType.TRACES


def known_problems(spec: BuiltSpec) -> Mapping[str, Problem]:
    """The problems of all built problem sets, by id and by question."""
    found: dict[str, Problem] = {}
    for stage in spec.of_type(ArtifactType.PROBLEMS):
        for row in stage.table().to_pylist():
            problem = Problem.from_row(row)
            found[problem.id] = found[problem.question] = problem
    return found
