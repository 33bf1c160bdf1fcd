"""Samples of models on problems, in groups that are items under their own keys, for the stages that judge them.

A resumed run makes what is missing, and two stages that ask the same of the same model share what is there.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from astro_factory.core.canonical import canonical_json, digest, seed_for
from astro_factory.core.chat import encode_prompt
from astro_factory.core.config import semantic_values
from astro_factory.core.context import StageContext
from astro_factory.core.devices import gpu_shares
from astro_factory.core.problems import Problem
from astro_factory.engines.base import Engine, Request
from astro_factory.engines.config import EngineConfig
from astro_factory.verifiers.pool import WorkerPool

_VERSION = 1
"""Moves when a group's samples may change for equal settings."""


class Asked(NamedTuple):
    """A problem and the name of the source it comes from."""

    source: str
    problem: Problem


@dataclass(frozen=True)
class Group:
    """One item of work: samples `first` to `last` (excluded) of some problems from one arm."""

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

    def key(self, arm_digest: str) -> str:
        """Digest of all that the samples depend on; verifiers and metrics are not among it."""
        problems = [[asked.problem.id, asked.problem.question] for asked in self.asked]
        sampling = [self.first, self.last, self.temperature, self.max_tokens, self.seed]
        return digest(["evaluate", _VERSION, arm_digest, semantic_values(self.engine), problems, sampling])


Texts = list[list[dict[str, Any]]]
"""For each problem of a group, for each sample: `text`, `tokens`, `finish`."""


def sample_all(ctx: StageContext, groups: Sequence[Group], processes: int) -> list[Texts]:
    """The samples of every group, from the item store where they are there."""
    keys = [group.key(ctx.digests[group.arm]) for group in groups]
    sizes = [len(group.asked) * (group.last - group.first) for group in groups]
    texts: dict[int, Texts] = {}
    for index, key in enumerate(keys):
        if (stored := ctx.items.get(key)) is not None:
            texts[index] = json.loads(stored)
    done = sum(sizes[index] for index in texts)
    ctx.events.progress(done, sum(sizes), "samples")
    missing = [index for index in range(len(groups)) if index not in texts]
    for index, result in _sampled([groups[index] for index in missing], processes):
        number = missing[index]
        ctx.items.put(keys[number], canonical_json(result))
        texts[number] = result
        ctx.events.spent(tokens=sum(s["tokens"] for samples in result for s in samples), calls=sizes[number])
        done += sizes[number]
        ctx.events.progress(done, sum(sizes), "samples")
    return [texts[index] for index in range(len(groups))]


def _sampled(groups: Sequence[Group], processes: int) -> Iterator[tuple[int, Texts]]:
    """Samples with the index of their group, as they get ready."""
    if processes == 1:
        try:
            for index, group in enumerate(groups):
                yield index, sample_group(group)
        finally:
            _Loaded.close()
        return
    pool = WorkerPool(
        f"{__name__}:sample_group", size=processes, timeout_s=None, memory_bytes=0, environments=gpu_shares(processes)
    )
    with ThreadPoolExecutor(processes) as threads:
        futures = {threads.submit(pool.call, group): index for index, group in enumerate(groups)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            threads.shutdown(cancel_futures=True)
            pool.close()


def sample_group(group: Group) -> Texts:
    """Generate one group's samples; runs in this process or in a worker."""
    engine = _Loaded.engine_for(group)
    requests = []
    for asked in group.asked:
        prompt = encode_prompt(engine.tokenizer, [{"role": "user", "content": asked.problem.question}])
        seeds = group.seeds(asked.problem)
        requests.append(Request(tuple(prompt), seeds, group.max_tokens, group.temperature))
    return [
        [{"text": sample.text, "tokens": len(sample.ids), "finish": sample.finish} for sample in samples]
        for samples in engine.generate(requests)
    ]


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
