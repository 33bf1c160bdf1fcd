"""Evaluation of several models on the same problems with the same seeds: samples, verdicts, and the report of both.

Each sample is an item under its own key: a resumed run makes no finished one again, and one more arm, problem or sample
costs just that. Verdicts and all numbers are made anew from the samples.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import NOT_SEMANTIC, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError, near
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.core.workload import Rows, Workload, times, total
from astro_factory.engines.config import EngineField
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.samples import MEASURES, cluster_of, sample_schema
from astro_factory.evaluation.votes import representatives
from astro_factory.stages.sampling import Asked, Group, Texts, sample_all
from astro_factory.traces.response_parser import response_measures
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.pool import worker_count

OUTPUT = ArtifactType.REPORT
VERSION = 3
HEAVY = True


class Config(StageConfig, Comparison):
    kind: Literal["evaluate"]
    engine: EngineField
    """How text is generated."""
    group: int = Field(32, gt=0)
    """Problems that a process samples together: many keep the engine full, few spread evenly over processes."""
    processes: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 1
    """Processes that sample side by side, each with a copy of the model; the machine's GPUs are dealt out to them."""


def cores(config: Config) -> int:
    """CPU cores that the stage keeps busy."""
    return config.processes * config.engine.cores()


def estimate(config: Config, rows: Rows) -> Workload:
    """Every arm answers every problem."""
    samples = times(total(rows, config.suite.problems), sum(map(config.samples_of, config.arms)))
    return Workload("samples", samples, calls=samples, tokens=times(samples, config.suite.max_tokens))


def run(ctx: StageContext, config: Config) -> None:
    from astro_factory.evaluation.analysis import analysis_from_samples
    from astro_factory.evaluation.report import report_from_samples

    asked = list(_asked(ctx, config))
    groups = list(_groups(ctx, config, asked))
    texts = sample_all(ctx, groups, config.processes)
    rows = _judged(ctx, config, groups, texts)
    write_table(ctx.out / "samples.parquet", rows, sample_schema())
    for content in (report_from_samples(rows, config), analysis_from_samples(rows, config)):
        (ctx.out / content.file_name).write_text(content.to_json(), encoding="utf-8")


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
    """Arm by arm, so that each model is loaded once."""
    suite = config.suite
    for arm in config.arms:
        stops = sorted({0, suite.samples, config.samples_of(arm)})
        for first, last in pairwise(stops):
            for start in range(0, len(asked), config.group):
                part = tuple(asked[start : start + config.group])
                settings = (ctx.inputs[arm], config.engine, suite.temperature, suite.max_tokens, config.seed)
                yield Group(arm, part, first, last, *settings)


def _judged(ctx: StageContext, config: Config, groups: Sequence[Group], texts: Sequence[Texts]) -> list[dict[str, Any]]:
    """The rows of `samples.parquet`."""
    measures = response_measures(config.backtracks) if config.backtracks else None
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
                own = {"sample": group.first + offset, "seed": seeds[offset]}
                read = measures(problem, sample["text"]) if measures else dict.fromkeys(MEASURES)
                rows.append(shared | own | sample | read)
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
