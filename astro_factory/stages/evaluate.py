"""Evaluation of several models on the same problems with the same seeds: samples, verdicts, and the report of both.

Samples of an arm are made in groups of problems, each an item under its own key: a resumed run goes on where it was,
and one more arm costs that arm. Verdicts and all numbers are made anew from the samples.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.canonical import canonical_json, digest, seed_for
from astro_factory.core.chat import encode_prompt
from astro_factory.core.config import NOT_SEMANTIC, StageConfig, semantic_values
from astro_factory.core.context import StageContext
from astro_factory.core.devices import gpu_shares
from astro_factory.core.errors import UserError, near
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.work import Rows, Work, times, total
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.engines.base import Engine, Request
from astro_factory.engines.config import EngineConfig, EngineField
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.samples import cluster_of, sample_schema
from astro_factory.evaluation.votes import representatives
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.pool import WorkerPool, worker_count

OUTPUT = ArtifactType.REPORT
VERSION = 2
_SAMPLES_VERSION = 1
"""Moves when a group's samples may change for equal settings."""
HEAVY = True


class Config(StageConfig, Comparison):
    kind: Literal["evaluate"]
    engine: EngineField
    """How text is generated."""
    group: int = Field(32, gt=0)
    """Problems that are sampled together, and the most that a killed run loses of each worker."""
    processes: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 1
    """Processes that sample side by side, each with a copy of the model; the machine's GPUs are dealt out to them."""


def cores(config: Config) -> int:
    """CPU cores that the stage keeps busy."""
    return config.processes * getattr(config.engine, "threads", 1)


def estimate(config: Config, rows: Rows) -> Work:
    """Every arm answers every problem."""
    samples = times(total(rows, config.suite.problems), sum(map(config.samples_of, config.arms)))
    return Work("samples", samples, calls=samples, tokens=times(samples, config.suite.max_tokens))


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
        return digest(["evaluate", _SAMPLES_VERSION, arm_digest, semantic_values(self.engine), problems, sampling])


def run(ctx: StageContext, config: Config) -> None:
    from astro_factory.evaluation.analysis import analysis_from_samples
    from astro_factory.evaluation.report import report_from_samples

    asked = list(_asked(ctx, config))
    groups = list(_groups(ctx, config, asked))
    texts = _sample_all(ctx, config, groups)
    rows = _judged(ctx, config, groups, texts)
    write_table(ctx.out / "samples.parquet", rows, sample_schema())
    for name, made in (("report", report_from_samples), ("analysis", analysis_from_samples)):
        text = json.dumps(made(rows, config), indent=1, ensure_ascii=False)
        (ctx.out / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _asked(ctx: StageContext, config: Config) -> Iterator[Asked]:
    """All problems of the suite, in its order. Raises `UserError` E801 for a cluster key that no problem has."""
    key, keys = config.suite.cluster, set()
    for source in config.suite.problems:
        for row in read_table(ctx.inputs[source] / TABLE_FILES[ArtifactType.PROBLEMS]):
            problem = Problem.from_row(row)
            keys.update(problem.info)
            yield Asked(source, problem)
    if key and key not in keys:
        cause = f"no problem of the suite '{config.suite.title}' has '{key}' in its info, which 'cluster' names"
        raise UserError.of("E801", cause, near(key, keys) or "leave 'cluster' out")


def _groups(ctx: StageContext, config: Config, asked: Sequence[Asked]) -> Iterator[Group]:
    """Arm by arm, so that each model is loaded once; samples beyond the suite's are items of their own."""
    suite = config.suite
    for arm in config.arms:
        stops = sorted({0, suite.samples, config.samples_of(arm)})
        for first, last in pairwise(stops):
            for start in range(0, len(asked), config.group):
                part = tuple(asked[start : start + config.group])
                settings = (ctx.inputs[arm], config.engine, suite.temperature, suite.max_tokens, config.seed)
                yield Group(arm, part, first, last, *settings)


Texts = list[list[dict[str, Any]]]
"""For each problem of a group, for each sample: `text`, `tokens`, `finish`."""


def _sample_all(ctx: StageContext, config: Config, groups: Sequence[Group]) -> list[Texts]:
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
    for index, result in _sampled([groups[index] for index in missing], config.processes):
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


def _judged(ctx: StageContext, config: Config, groups: Sequence[Group], texts: Sequence[Texts]) -> list[dict[str, Any]]:
    """The rows of `samples.parquet`."""
    count = _counter(config)
    rows, responses = [], []
    for group, results in zip(groups, texts, strict=True):
        for (source, problem), samples in zip(group.asked, results, strict=True):
            shared = {
                "source": source,
                "problem": problem.id,
                "level": problem.level,
                "cluster": cluster_of(source, problem, config.suite.cluster),
                "verifier": problem.verifier,
                "arm": group.arm,
            }
            seeds = group.seeds(problem)
            for offset, sample in enumerate(samples):
                own = {"sample": group.first + offset, "seed": seeds[offset], "backtracks": count(sample["text"])}
                rows.append(shared | own | sample)
                responses.append((problem, sample["text"]))
    verdicts = []
    with ThreadPoolExecutor(worker_count()) as threads:
        for verdict in threads.map(lambda pair: get_verifier(pair[0].verifier).verify(*pair), responses):
            verdicts.append(verdict)
            ctx.events.progress(len(verdicts), len(rows), "verdicts")
        for row, verdict in zip(rows, verdicts, strict=True):
            row |= {"outcome": str(verdict.outcome), "detail": verdict.detail}
        asked: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            asked[row["source"], row["problem"]].append(index)
        votes = threads.map(
            lambda own: _votes(responses[own[0]][0], [verdicts[index] for index in own]), asked.values()
        )
        for own, answers in zip(asked.values(), votes, strict=True):
            for index, answer in zip(own, answers, strict=True):
                rows[index]["extracted"] = answer
    return rows


def _votes(problem: Problem, verdicts: Sequence[Verdict]) -> list[str]:
    """The answers of one problem's samples from all arms, equal ones in one spelling."""
    verifier = get_verifier(problem.verifier)

    def same(first: int, second: int) -> bool:
        pair = (verdicts[first], verdicts[second])
        # right answers have one spelling already; what could not be judged alone cannot be compared
        if any(verdict.outcome is not Outcome.INCORRECT for verdict in pair):
            return False
        return verifier.same(problem, verdicts[first].extracted, verdicts[second].extracted)

    return representatives([verdict.answer for verdict in verdicts], same)


def _counter(config: Config) -> Any:
    if config.backtracks is None:
        return lambda text: None
    from astro_factory.traces.markers import backtrack_counter

    return backtrack_counter(config.backtracks)
