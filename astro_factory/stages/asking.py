"""What stages share that ask a model about ready things (trees, traces): prompts, samples, and items that stay.

One thing is one item, with all its prompts: a killed run loses a group at most, and one more thing costs that thing.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from astro_factory.core.canonical import canonical_json, digest
from astro_factory.core.config import NOT_SEMANTIC, ModelRef, StageConfig, semantic_values
from astro_factory.core.context import StageContext
from astro_factory.engines.config import EngineField


class AskingConfig(StageConfig):
    """Who is asked, and how."""

    model: ModelRef
    """The model that is asked."""
    engine: EngineField
    """How text is generated."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature."""
    max_tokens: int = Field(256, gt=0)
    """Longest response."""
    group: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 64
    """Things that are asked about together, and the most that a killed run loses."""
    seed: int = 0
    """Source of randomness."""


def cores(config: AskingConfig) -> int:
    """CPU cores that the stage keeps busy."""
    return config.engine.cores()


class Asked(NamedTuple):
    """One conversation about a thing, with a seed for each response that is wanted."""

    messages: list[dict[str, str]]
    seeds: tuple[int, ...]


def ask(
    ctx: StageContext, config: AskingConfig, unit: str, things: Iterable[tuple[Any, list[Asked]]], total: int
) -> Iterator[tuple[Any, list[list[str]]]]:
    """Each thing with its prompts' responses, in order; no model is loaded where all are there."""
    sampling = [config.temperature, config.max_tokens]
    shared = digest(["asked", ctx.digests[config.model], semantic_values(config.engine), sampling])
    engine, done, remaining = None, 0, iter(things)
    try:
        while group := list(islice(remaining, config.group)):
            keys = [digest([shared, [list(prompt) for prompt in prompts]]) for _, prompts in group]
            texts = {key: _stored(ctx, key) for key in keys}
            missing = {key: p for key, (_, p) in zip(keys, group, strict=True) if texts[key] is None}
            if missing:
                engine = engine or _opened(ctx, config)
                for key, found in zip(missing, _sampled(ctx, engine, config, list(missing.values())), strict=True):
                    ctx.items.put(key, canonical_json(found))
                    texts[key] = found
            for key, (thing, _) in zip(keys, group, strict=True):
                yield thing, texts[key]
            done += len(group)
            ctx.events.progress(done, total, unit)
    finally:
        if engine is not None:
            engine.close()


def _stored(ctx: StageContext, key: str) -> list[list[str]] | None:
    stored = ctx.items.get(key)
    return None if stored is None else json.loads(stored)


def _opened(ctx: StageContext, config: AskingConfig) -> Any:
    from astro_factory.engines import open_engine

    return open_engine(config.engine, ctx.inputs[config.model])


def _sampled(
    ctx: StageContext, engine: Any, config: AskingConfig, things: Sequence[Sequence[Asked]]
) -> list[list[list[str]]]:
    """For each thing, for each of its prompts, the responses; one batch for the engine."""
    from astro_factory.core.chat import encode_prompt
    from astro_factory.engines.base import Request

    prompts = [prompt for thing in things for prompt in thing]
    requests = [
        Request(tuple(encode_prompt(engine.tokenizer, messages)), seeds, config.max_tokens, config.temperature)
        for messages, seeds in prompts
    ]
    groups = engine.generate(requests) if requests else []
    made = [sample for group in groups for sample in group]
    ctx.events.spent(tokens=sum(len(sample.ids) for sample in made), calls=len(made))
    texts = iter([[sample.text for sample in group] for group in groups])
    return [[next(texts) for _ in thing] for thing in things]
