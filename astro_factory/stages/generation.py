"""Samples of models, each stored as an item under its own key.

A killed run loses only the samples in flight, and stages that request the same sample of the same model share it. The
samples come from this process, or from several with an engine each, here or on a Ray cluster.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Annotated, NamedTuple, TypedDict, TypeVar

from pydantic import Field

from astro_factory.core.canonical import canonical_json, digest, seed_for
from astro_factory.core.chat import Message, encode_prompt
from astro_factory.core.config import NOT_SEMANTIC, ModelRef, StageConfig, semantic_values
from astro_factory.core.context import Items, StageContext
from astro_factory.core.devices import gpu_shares
from astro_factory.core.problems import Problem
from astro_factory.core.ray_folders import SharedFolder, SharedFolders
from astro_factory.core.verdicts import Verdict
from astro_factory.engines.base import Engine, Request
from astro_factory.engines.config import EngineConfig, EngineField
from astro_factory.search.ray_actors import RayActors
from astro_factory.search.ray_workers import engine_room
from astro_factory.stages.sampling_hooks import Backend, OneModelSamplingConfig, log_slow_type
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.pool import WorkerPool, worker_count

T = TypeVar("T")
_HAND_OVER_S = 1.0
"""How long an actor keeps samples: a message costs about as much as a short sample, and a lost actor loses them."""
_VERSION = 2
"""Part of every key; raise it when a sample may differ for equal settings."""


class Response(TypedDict):
    """One sample."""

    text: str
    tokens: int
    finish: str


class Conversation(NamedTuple):
    """A prompt with a seed for each sample."""

    messages: list[Message]
    seeds: tuple[int, ...]


def conversation_about(problem: Problem, seed: int, samples: range) -> Conversation:
    """A problem's question. Seeds do not depend on the model, so that models are compared on equal seeds."""
    seeds = tuple(seed_for(seed, "evaluate", problem.id, index) for index in samples)
    return Conversation([{"role": "user", "content": problem.question}], seeds)


@dataclass(frozen=True)
class Sampling:
    """A model and how it is sampled."""

    folder: Path
    digest: str
    """Content digest of the model."""
    engine: EngineConfig
    temperature: float
    max_tokens: int

    def key_part(self, scheme: Sequence[str | int]) -> str:
        """What the keys of all items of these settings have in common."""
        return digest([*scheme, self.digest, semantic_values(self.engine), [self.temperature, self.max_tokens]])


class _Keyed(NamedTuple):
    """One sample to generate. The key covers everything that it depends on."""

    key: str
    messages: list[Message]
    seed: int


@dataclass(frozen=True)
class Batch:
    """Conversations that are sampled together with equal settings, in one process."""

    sampling: Sampling
    conversations: Sequence[Conversation]

    def keyed(self) -> list[list[_Keyed]]:
        """The samples of each conversation under their keys."""
        shared = self.sampling.key_part(["sample", _VERSION])
        return [
            [_Keyed(digest([shared, _identity(messages), seed]), messages, seed) for seed in seeds]
            for messages, seeds in self.conversations
        ]


def _identity(messages: list[Message]) -> str | list[Message]:
    """A conversation in a key: a lone question is its text."""
    return messages[0]["content"] if len(messages) == 1 and messages[0]["role"] == "user" else messages


class _Missing(NamedTuple):
    """What one process generates in one call: the samples of a batch that are not stored."""

    sampling: Sampling
    samples: tuple[_Keyed, ...]
    items: Items


class _MissingOnRay(NamedTuple):
    """The same for a node of a cluster, which gets the model from the driver and sends the samples to it."""

    sampling: Sampling
    samples: tuple[_Keyed, ...]
    model: SharedFolder


_Samples = list[tuple[str, Response]]
"""New samples under their keys."""


class Generator:
    """Generates what is not stored, in `processes` processes. Engines stay loaded until the block ends."""

    def __init__(self, ctx: StageContext, processes: int, backend: Backend = "local"):
        self._ctx, self._processes, self._backend = ctx, processes, backend
        self._pool: WorkerPool | None = None
        self._actors: RayActors[_MissingOnRay, _Samples] | None = None
        self._folders = SharedFolders()
        self._logged: set[Path] = set()
        """Models about whose type of weights something may have been logged."""

    def __enter__(self) -> "Generator":
        return self

    def __exit__(self, *_: object) -> None:
        _LoadedEngine.close()
        for workers in (self._pool, self._actors):
            if workers is not None:
                workers.close()

    def responses(
        self, batches: Sequence[Batch], report: Callable[[int, int], None] = lambda done, total: None
    ) -> list[list[list[Response]]]:
        """For each batch, for each of its conversations, the samples.

        `report` is called with the number of samples that exist and that are needed, at first and after each new one.
        """
        keyed = [batch.keyed() for batch in batches]
        known: dict[str, Response | None] = {}
        missing: list[_Missing] = []
        for batch, conversations in zip(batches, keyed, strict=True):
            new = {sample.key: sample for samples in conversations for sample in samples if sample.key not in known}
            known |= {key: _stored(self._ctx.items, key) for key in new}
            if lacking := tuple(sample for key, sample in new.items() if known[key] is None):
                missing.append(_Missing(batch.sampling, lacking, self._ctx.items))
        responses = {key: response for key, response in known.items() if response is not None}
        report(len(responses), len(known))
        for key, response in self._generated(missing):
            responses[key] = response
            self._ctx.events.spent(tokens=response["tokens"], calls=1)
            report(len(responses), len(known))
        return [[[responses[sample.key] for sample in samples] for samples in group] for group in keyed]

    def _generated(self, missing: Sequence[_Missing]) -> Iterator[tuple[str, Response]]:
        """New samples under their keys, as they are done; each is stored by then."""
        if self._backend == "ray":
            yield from self._generated_on_ray(missing)
            return
        for sampling in (part.sampling for part in missing):
            if sampling.folder not in self._logged:
                self._logged.add(sampling.folder)
                log_slow_type(self._ctx.events, sampling.engine, sampling.folder)
        if self._processes == 1:
            for part in missing:
                yield from _stored_samples(part)
            return
        if missing and self._pool is None:
            self._pool = WorkerPool(
                f"{__name__}:generate",
                size=self._processes,
                timeout_s=None,
                memory_bytes=0,
                environments=gpu_shares(self._processes),
            )
        with ThreadPoolExecutor(self._processes) as threads:
            futures = [threads.submit(self._pool.call, part) for part in missing if self._pool]
            try:
                for future in as_completed(futures):
                    yield from future.result()
            finally:
                threads.shutdown(cancel_futures=True)

    def _generated_on_ray(self, missing: Sequence[_Missing]) -> Iterator[tuple[str, Response]]:
        """The same from actors. This process stores the samples, because a node may not see the store."""
        if not missing:
            return
        if self._actors is None:
            room = engine_room(missing[0].sampling.engine, self._processes, self._ctx.events.log)
            self._actors = RayActors(room, self._processes, generate_on_ray, _rest)
        parts = [
            _MissingOnRay(sampling, samples, self._folders.share(sampling.folder, sampling.digest))
            for sampling, samples, _ in missing
        ]
        for made in self._actors.run(parts):
            for key, response in made:
                self._ctx.items.put(key, canonical_json(response))
                yield key, response


def _stored(items: Items, key: str) -> Response | None:
    stored = items.get(key)
    return None if stored is None else json.loads(stored)


def generate(missing: _Missing) -> _Samples:
    """Generate and store samples; runs in a worker."""
    return list(_stored_samples(missing))


def generate_on_ray(missing: _MissingOnRay) -> Iterator[_Samples]:
    """Generate samples and hand over those that are done, about once a second; runs in an actor."""
    done, handed_over = _Samples(), monotonic()
    for made in _generate(replace(missing.sampling, folder=missing.model.here()), missing.samples):
        done += made
        if monotonic() - handed_over > _HAND_OVER_S:
            yield done
            done, handed_over = _Samples(), monotonic()
    if done:
        yield done


def _rest(missing: _MissingOnRay, made: Sequence[_Samples]) -> _MissingOnRay | None:
    """What a lost actor has not handed over."""
    done = {key for samples in made for key, _ in samples}
    rest = tuple(sample for sample in missing.samples if sample.key not in done)
    return missing._replace(samples=rest) if rest else None


def _stored_samples(missing: _Missing) -> Iterator[tuple[str, Response]]:
    for made in _generate(missing.sampling, missing.samples):
        for key, response in made:
            missing.items.put(key, canonical_json(response))
            yield key, response


def _generate(sampling: Sampling, samples: Sequence[_Keyed]) -> Iterator[_Samples]:
    """The samples in the groups in which the engine finishes them."""
    engine = _LoadedEngine.get(sampling)
    stream = engine.stream()
    prompts: dict[int, tuple[int, ...]] = {}
    """Token ids of each conversation, whose samples share one list of messages."""
    for key, messages, seed in samples:
        if id(messages) not in prompts:
            prompts[id(messages)] = tuple(encode_prompt(engine.tokenizer, messages))
        stream.add(key, Request(prompts[id(messages)], (seed,), sampling.max_tokens, sampling.temperature))
    while done := stream.take():
        yield [(key, Response(text=made.text, tokens=len(made.ids), finish=made.finish)) for key, (made,) in done]


class _LoadedEngine:
    """The one engine of this process; that of another model replaces it."""

    engine: Engine | None = None
    of: tuple[Path, EngineConfig] | None = None

    @classmethod
    def get(cls, sampling: Sampling) -> Engine:
        wanted = (sampling.folder, sampling.engine)
        if cls.engine is None or cls.of != wanted:
            from astro_factory.engines import open_engine

            cls.close()
            cls.engine, cls.of = open_engine(sampling.engine, sampling.folder), wanted
        return cls.engine

    @classmethod
    def close(cls) -> None:
        if cls.engine is not None:
            cls.engine.close()
        cls.engine = cls.of = None


def sample_all(
    ctx: StageContext, batches: Sequence[Batch], processes: int, backend: Backend = "local"
) -> list[list[list[Response]]]:
    """`Generator.responses` of all batches at once, with the samples as progress."""
    with Generator(ctx, processes, backend) as generator:
        return generator.responses(batches, lambda done, total: ctx.events.progress(done, total, "samples"))


def verify_all(ctx: StageContext, responses: Sequence[tuple[Problem, str]]) -> list[Verdict]:
    """The verdict on each response, with progress; several verifier processes work side by side."""
    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(worker_count()) as threads:
        for verdict in threads.map(lambda pair: get_verifier(pair[0].verifier).verify(*pair), responses):
            verdicts.append(verdict)
            ctx.events.progress(len(verdicts), len(responses), "verdicts")
    return verdicts


class GenerationConfig(StageConfig):
    """Fields of the stages that ask a model about trees or traces."""

    model: ModelRef
    """The model that is asked."""
    engine: EngineField
    """How text is generated."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature."""
    max_tokens: int = Field(256, gt=0)
    """Longest response, in tokens."""
    group: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 64
    """Trees or traces that a process samples together."""
    processes: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 1
    """Processes that sample side by side, each with its own copy of the model; they share the machine's GPUs."""
    backend: Annotated[Backend, NOT_SEMANTIC] = "local"
    """Where the processes run: on this machine, or as actors of the Ray cluster at `RAY_ADDRESS`."""
    seed: int = 0
    """Source of randomness."""


def sampling_of(ctx: StageContext, config: OneModelSamplingConfig) -> Sampling:
    """The stage's model and how it is sampled."""
    folder, content = ctx.inputs[config.model], ctx.digests[config.model]
    return Sampling(folder, content, config.engine, config.temperature, config.max_tokens)


def ask_about(
    ctx: StageContext,
    config: GenerationConfig,
    unit: str,
    subjects: Iterable[tuple[T, list[Conversation]]],
    total: int,
) -> Iterator[tuple[T, list[list[str]]]]:
    """Each subject (a tree, a trace) with the responses to each of its conversations, in order.

    Subjects are read and sampled in groups, so that memory does not grow with their number. No model is loaded if
    every response is stored.

    Args:
        unit: what messages call the subjects, such as `trees`.
        total: number of subjects, for progress.
    """
    sampling = sampling_of(ctx, config)
    whole, done, remaining = sampling.key_part(["asked"]), 0, iter(subjects)
    with Generator(ctx, config.processes, config.backend) as generator:
        while group := list(islice(remaining, config.group * config.processes)):
            stored = [_stored_whole(ctx.items, whole, conversations) for _, conversations in group]
            pairs = zip(group, stored, strict=True)
            new = [one for (_, conversations), texts in pairs if texts is None for one in conversations]
            size = max(1, -(-len(new) // config.processes))
            batches = [Batch(sampling, new[start : start + size]) for start in range(0, len(new), size)]
            made = generator.responses(batches, lambda *_, done=done: ctx.events.progress(done, total, unit))
            texts_of = iter([[response["text"] for response in responses] for batch in made for responses in batch])
            for (subject, conversations), texts in zip(group, stored, strict=True):
                yield subject, [next(texts_of) for _ in conversations] if texts is None else texts
            done += len(group)
            ctx.events.progress(done, total, unit)


def _stored_whole(items: Items, shared: str, conversations: list[Conversation]) -> list[list[str]] | None:
    """The responses of a subject as earlier releases stored them, all in one item."""
    stored = items.get(digest([shared, [list(conversation) for conversation in conversations]]))
    return None if stored is None else json.loads(stored)
