"""Search: one tree for each problem, by a policy, a model and a verifier.

Each tree is an item under its own key (policy, model, engine, problem, seed), so a killed run loses only the trees in
flight and ten more problems cost ten searches. Trees grow side by side, in several processes with an engine each;
a tree does not depend on its neighbours where the engine's samples do not (`engines.decoders` says where that is so).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.canonical import canonical_json, digest
from astro_factory.core.config import NOT_SEMANTIC, ModelRef, ProblemsRef, StageConfig, semantic_values
from astro_factory.core.context import StageContext
from astro_factory.core.devices import gpu_shares
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.trees import tree_schema
from astro_factory.core.verdicts import Outcome
from astro_factory.core.workers import Worker
from astro_factory.engines.config import EngineConfig, EngineField
from astro_factory.search.config import PolicyConfig, PolicyField
from astro_factory.search.statistics import Statistics

OUTPUT = ArtifactType.TREES
VERSION = 1
HEAVY = True


class Config(StageConfig):
    kind: Literal["search"]
    model: ModelRef
    """The model that explores."""
    problems: ProblemsRef
    """What to solve; each problem names its verifier."""
    policy: PolicyField
    """How to search."""
    engine: EngineField
    """How text is generated."""
    processes: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 1
    """Processes that share the problems, each with a model of its own; the machine's GPUs are dealt out to them."""
    trees_in_flight: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 512
    """Trees that grow at the same time in each process, which is also the most that a killed run loses of each."""
    seed: int = 0
    """Source of randomness."""


def cores(config: Config) -> int:
    """CPU cores that the stage keeps busy."""
    return config.processes * getattr(config.engine, "threads", 1)


@dataclass(frozen=True)
class Shard:
    """The part of one process."""

    folder: Path
    engine: EngineConfig
    policy: PolicyConfig
    problems: list[Problem]
    seed: int
    trees_in_flight: int
    in_common: str
    """Digest of what all trees of the stage depend on."""


class Round(NamedTuple):
    """What one round of the engine finished."""

    trees: list[tuple[str, bytes]]
    """Item key and value of each tree."""
    solved: int
    tokens: int
    """Sampled for these trees."""
    done: bool


def run(ctx: StageContext, config: Config) -> None:
    rows = read_table(ctx.inputs[config.problems] / TABLE_FILES[ArtifactType.PROBLEMS])
    problems = [Problem.from_row(row) for row in rows]
    in_common = digest(
        [
            "tree",
            VERSION,
            semantic_values(config.policy),
            ctx.digests[config.model],
            semantic_values(config.engine),
            config.seed,
        ]
    )
    keys = [item_key(in_common, problem) for problem in problems]
    missing = {key: problem for key, problem in zip(keys, problems, strict=True) if ctx.items.get(key) is None}
    _search(ctx, config, in_common, list(missing.values()), len(problems) - len(missing))
    statistics = Statistics()
    trees = (statistics.counted(json.loads(ctx.items.get(key))) for key in keys)
    write_table(ctx.out / TABLE_FILES[OUTPUT], trees, tree_schema())
    text = json.dumps(statistics.figures(), indent=1) + "\n"
    (ctx.out / "statistics.json").write_text(text, encoding="utf-8")


def item_key(in_common: str, problem: Problem) -> str:
    return digest([in_common, problem.as_row()])


def _search(ctx: StageContext, config: Config, in_common: str, problems: Sequence[Problem], found: int) -> None:
    """Grow the missing trees and store each; `found` of them were there already."""
    total, done, solved, tokens, start = found + len(problems), found, 0, 0, monotonic()
    ctx.events.progress(done, total, "trees")
    shards = [
        Shard(
            ctx.inputs[config.model],
            config.engine,
            config.policy,
            list(problems[number :: config.processes]),
            config.seed,
            config.trees_in_flight,
            in_common,
        )
        for number in range(min(config.processes, len(problems)))
    ]
    for result in _rounds(shards):
        for key, value in result.trees:
            ctx.items.put(key, value)
        done, solved, tokens = done + len(result.trees), solved + result.solved, tokens + result.tokens
        figures = {"tokens_per_s": tokens / max(monotonic() - start, 1e-9), "solved": solved / max(done - found, 1)}
        ctx.events.progress(done, total, "trees", **figures)


def _rounds(shards: Sequence[Shard]) -> Iterator[Round]:
    """The rounds of all shards as they get ready: of a single one in this process, of several in one each."""
    if not shards:
        return
    if len(shards) == 1:
        process = ShardProcess()
        result = process.advance(shards[0])
        yield result
        while not result.done:
            result = process.advance()
            yield result
        process.close()
        return
    results: SimpleQueue[Round | BaseException] = SimpleQueue()
    stop = Event()
    for shard, environment in zip(shards, gpu_shares(len(shards)), strict=True):
        Thread(target=_follow, args=(shard, environment, results, stop), daemon=True).start()
    running = len(shards)
    try:
        while running:
            result = results.get()
            if isinstance(result, BaseException):
                raise result
            running -= result.done
            yield result
    finally:
        stop.set()


def _follow(shard: Shard, environment: dict[str, str], results: SimpleQueue, stop: Event) -> None:
    """Drive a worker until its trees are done or nobody wants them any more; what it raises is for the reader."""
    try:
        with Worker(f"{__name__}:advance_shard", environment=environment) as worker:
            result = worker.call(shard)
            results.put(result)
            while not (result.done or stop.is_set()):
                result = worker.call(None)
                results.put(result)
    except BaseException as error:
        results.put(error)


class ShardProcess:
    """The engine and the growing trees of one process."""

    def advance(self, shard: Shard | None = None) -> Round:
        """One round of the engine; the first call says what to do."""
        from astro_factory.engines import open_engine
        from astro_factory.search.driver import Search

        if shard is not None:
            self._engine = open_engine(shard.engine, shard.folder)
            self._search = Search(self._engine, shard.policy, shard.problems, shard.seed, shard.trees_in_flight)
            self._in_common = shard.in_common
        trees = self._search.advance()
        return Round(
            [(item_key(self._in_common, tree.problem), canonical_json(tree.as_row())) for tree in trees],
            sum(any(node.verdict == Outcome.CORRECT for node in tree.nodes) for tree in trees),
            sum(tree.tokens for tree in trees),
            self._search.done,
        )

    def close(self) -> None:
        self._engine.close()


_process = ShardProcess()


def advance_shard(shard: Shard | None) -> Round:
    """`ShardProcess.advance` of the process that this runs in; it ends with the process."""
    return _process.advance(shard)
