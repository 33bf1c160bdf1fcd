"""Samples of models on problems, each an item under its own key, for the stages that judge them.

A resumed run makes what is missing, and two stages that ask the same of the same model share what is there.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from astro_factory.core.canonical import canonical_json, digest, seed_for
from astro_factory.core.chat import encode_prompt
from astro_factory.core.config import semantic_values
from astro_factory.core.context import Items, StageContext
from astro_factory.core.devices import gpu_shares
from astro_factory.core.problems import Problem
from astro_factory.engines.base import Engine, Request
from astro_factory.engines.config import EngineConfig
from astro_factory.verifiers.pool import WorkerPool

_VERSION = 2
"""Moves when a sample may change for equal settings."""


class Asked(NamedTuple):
    """A problem and the name of the source it comes from."""

    source: str
    problem: Problem


@dataclass(frozen=True)
class Group:
    """What is sampled in one go: samples `first` to `last` (excluded) of some problems from one arm."""

    arm: str
    asked: tuple[Asked, ...]
    first: int
    last: int
    folder: Path
    engine: EngineConfig
    temperature: float
    max_tokens: int
    seed: int

    def seeds(self, problem: Problem) -> tuple[int, ...]:
        """Equal for all arms, so that a difference between arms is not one of luck."""
        return tuple(seed_for(self.seed, "evaluate", problem.id, index) for index in range(self.first, self.last))

    def wanted(self, arm_digest: str) -> "list[list[Wanted]]":
        """For each problem its samples, which may be there already."""
        sampling = [self.temperature, self.max_tokens]
        shared = digest(["sample", _VERSION, arm_digest, semantic_values(self.engine), sampling])
        return [
            [Wanted(digest([shared, problem.question, seed]), problem.question, seed) for seed in self.seeds(problem)]
            for _, problem in self.asked
        ]


class Wanted(NamedTuple):
    """One sample. Its key is a digest of all that it depends on; verifiers and metrics are not among it."""

    key: str
    question: str
    seed: int


Made = dict[str, Any]
"""A sample: `text`, `tokens`, `finish`."""
Texts = list[list[Made]]
"""For each problem of a group, its samples."""


class _Share(NamedTuple):
    """What one process makes in one go: the samples of a group that are in no item yet."""

    group: Group
    missing: tuple[Wanted, ...]
    items: Items


def sample_all(ctx: StageContext, groups: Sequence[Group], processes: int) -> list[Texts]:
    """The samples of every group, from the item store where they are there."""
    wanted = [group.wanted(ctx.digests[group.arm]) for group in groups]
    made: dict[str, Made | None] = {}
    shares = []
    for group, problems in zip(groups, wanted, strict=True):
        asked = {sample.key: sample for sample in chain.from_iterable(problems) if sample.key not in made}
        made |= {key: _stored(ctx.items, key) for key in asked}
        if missing := tuple(sample for key, sample in asked.items() if made[key] is None):
            shares.append(_Share(group, missing, ctx.items))
    done = sum(sample is not None for sample in made.values())
    ctx.events.progress(done, len(made), "samples")
    for key, sample in _sampled(shares, processes):
        made[key] = sample
        done += 1
        ctx.events.spent(tokens=sample["tokens"], calls=1)
        ctx.events.progress(done, len(made), "samples")
    return [[[made[sample.key] for sample in samples] for samples in problems] for problems in wanted]


def _stored(items: Items, key: str) -> Made | None:
    stored = items.get(key)
    return None if stored is None else json.loads(stored)


def _sampled(shares: Sequence[_Share], processes: int) -> Iterator[tuple[str, Made]]:
    """Samples under their keys, as they get ready; each is an item by then."""
    if processes == 1:
        try:
            for share in shares:
                yield from _made(share)
        finally:
            _Loaded.close()
        return
    pool = WorkerPool(
        f"{__name__}:sample_share", size=processes, timeout_s=None, memory_bytes=0, environments=gpu_shares(processes)
    )
    with ThreadPoolExecutor(processes) as threads:
        futures = [threads.submit(pool.call, share) for share in shares]
        try:
            for future in as_completed(futures):
                yield from future.result()
        finally:
            threads.shutdown(cancel_futures=True)
            pool.close()


def sample_share(share: _Share) -> list[tuple[str, Made]]:
    """Generate what a share lacks; runs in a worker."""
    return list(_made(share))


def _made(share: _Share) -> Iterator[tuple[str, Made]]:
    group, engine = share.group, _Loaded.engine_for(share.group)
    stream = engine.stream()
    prompts: dict[str, tuple[int, ...]] = {}
    for key, question, seed in share.missing:
        if question not in prompts:
            prompts[question] = tuple(encode_prompt(engine.tokenizer, [{"role": "user", "content": question}]))
        stream.add(key, Request(prompts[question], (seed,), group.max_tokens, group.temperature))
    while done := stream.take():
        for key, (sample,) in done:
            made = {"text": sample.text, "tokens": len(sample.ids), "finish": sample.finish}
            share.items.put(key, canonical_json(made))
            yield key, made


class _Loaded:
    """The one engine of this process: the next arm's takes the last one's place."""

    engine: Engine | None = None
    of: tuple[Path, EngineConfig] | None = None

    @classmethod
    def engine_for(cls, group: Group) -> Engine:
        wanted = (group.folder, group.engine)
        if cls.engine is None or cls.of != wanted:
            from astro_factory.engines import open_engine

            cls.close()
            cls.engine, cls.of = open_engine(group.engine, group.folder), wanted
        return cls.engine

    @classmethod
    def close(cls) -> None:
        if cls.engine is not None:
            cls.engine.close()
        cls.engine = cls.of = None
