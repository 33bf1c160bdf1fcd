"""Evaluation of several models on the same problems with the same seeds: samples, verdicts, and the report of both.

Each sample is an item under its own key: a resumed run repeats no finished sample, and one more arm, problem or sample
costs just that. Verdicts and all figures are computed from the samples each time.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.chat import Message
from astro_factory.core.config import LATER, NOT_SEMANTIC, DialoguesRef, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError, near
from astro_factory.core.machines import Machine
from astro_factory.core.model_shapes import ModelShape
from astro_factory.core.problems import Problem
from astro_factory.core.requirements import Requirements
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.core.workload import Rows, Workload, times, total
from astro_factory.engines.config import EngineField
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.samples import LATER_MEASURES, MEASURES, cluster_of, sample_schema
from astro_factory.evaluation.votes import representatives
from astro_factory.stages.generation import (
    Batch,
    Response,
    Sampling,
    conversation_about,
    sample_all,
    verify_all,
)
from astro_factory.stages.requirements import engine_needs
from astro_factory.stages.sampling_hooks import Backend, cores, gpus, lighter
from astro_factory.stages.worked_examples import worked_examples
from astro_factory.traces.response_parser import response_measures
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.domain_check import domain_check
from astro_factory.verifiers.pool import worker_count

OUTPUT = ArtifactType.REPORT
VERSION = 6
HEAVY = True

__all__ = ["HEAVY", "OUTPUT", "VERSION", "Config", "cores", "estimate", "gpus", "lighter", "requirements", "run"]


class Config(StageConfig, Comparison):
    kind: Literal["evaluate"]
    engine: EngineField
    """How text is generated."""
    group: int = Field(32, gt=0)
    """Problems that a process samples together: many keep the engine full, few spread evenly over processes."""
    examples: Annotated[DialoguesRef | None, LATER] = None
    """Traces or dialogues, of which the first stand in front of every question as worked examples: a primed prompt.
    Traces without a backtrack and questions of the suite are skipped. By default there are none."""
    example_count: Annotated[int, Field(gt=0), LATER] = 1
    """How many of them, with `examples`."""
    processes: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 1
    """Processes that sample side by side, each with its own copy of the model; they share the machine's GPUs."""
    backend: Annotated[Backend, NOT_SEMANTIC] = "local"
    """Where the processes run: on this machine, or as actors of the Ray cluster at `RAY_ADDRESS`."""


def requirements(
    config: Config, shapes: Mapping[str, ModelShape], workload: Workload, machine: Machine
) -> Requirements | None:
    """Of the engines."""
    if config.backend == "ray":  # its GPUs are those of the cluster
        return Requirements()
    known = [shapes[arm] for arm in config.arms if arm in shapes]
    if not known:
        return None
    largest = max(known, key=lambda shape: shape.parameters)
    return engine_needs(config.engine, config.processes, config.suite.max_tokens, largest, workload, machine)


def estimate(config: Config, rows: Rows) -> Workload:
    """Every arm answers every problem."""
    samples = times(total(rows, config.suite.problems), sum(map(config.samples_of, config.arms)))
    return Workload("samples", samples, calls=samples, tokens=times(samples, config.suite.max_tokens))


def run(ctx: StageContext, config: Config) -> None:
    from astro_factory.evaluation.analysis import analysis_from_samples
    from astro_factory.evaluation.report import report_from_samples

    questions = list(_questions(ctx, config))
    groups, examples = list(_groups(config, questions)), _examples(ctx, config, questions)
    batches = [_batch(ctx, config, group, examples) for group in groups]
    responses = sample_all(ctx, batches, config.processes, config.backend)
    rows = _judged(ctx, config, groups, responses)
    write_table(ctx.out / "samples.parquet", rows, sample_schema())
    report = report_from_samples(rows, config)
    for content in (report, analysis_from_samples(rows, config)):
        (ctx.out / content.file_name).write_text(content.to_json(), encoding="utf-8")
    values = {f"{arm}/{name}": found.value for arm, metrics in report.arms.items() for name, found in metrics.items()}
    ctx.events.metric(0, values)


class _Question(NamedTuple):
    """A problem and the name of its source."""

    source: str
    problem: Problem


class _Group(NamedTuple):
    """A range of samples of some problems from one arm."""

    arm: str
    questions: Sequence[_Question]
    samples: range


def _questions(ctx: StageContext, config: Config) -> Iterator[_Question]:
    """All problems of the suite, in its order. Raises `UserError` E801 for a cluster key that no problem has."""
    key, keys = config.suite.cluster, set()
    for source in config.suite.problems:
        for row in read_table(ctx.inputs[source] / TABLE_FILES[ArtifactType.PROBLEMS]):
            problem = Problem.from_row(row)
            keys.update(problem.info)
            yield _Question(source, problem)
    if key and key not in keys:
        cause = f"no problem of the suite '{config.suite.title}' has '{key}' in its info, which 'cluster' names"
        raise UserError.of("E801", cause, near(key, keys) or "leave 'cluster' out")


def _groups(config: Config, questions: Sequence[_Question]) -> Iterator[_Group]:
    """Arm by arm, so that each model is loaded once."""
    suite = config.suite
    for arm in config.arms:
        stops = sorted({0, suite.samples, config.samples_of(arm)})
        for first, last in pairwise(stops):
            for start in range(0, len(questions), config.group):
                yield _Group(arm, questions[start : start + config.group], range(first, last))


def _examples(ctx: StageContext, config: Config, questions: Sequence[_Question]) -> list[Message]:
    if config.examples is None:
        return []
    asked = {problem.question for _, problem in questions}
    return worked_examples(ctx.inputs[config.examples], config.example_count, asked)


def _batch(ctx: StageContext, config: Config, group: _Group, examples: Sequence[Message]) -> Batch:
    folder, digest = ctx.inputs[group.arm], ctx.digests[group.arm]
    sampling = Sampling(folder, digest, config.engine, config.suite.temperature, config.suite.max_tokens)
    asked = [conversation_about(problem, config.seed, group.samples) for _, problem in group.questions]
    return Batch(sampling, [one._replace(messages=[*examples, *one.messages]) for one in asked])


def _judged(
    ctx: StageContext, config: Config, groups: Sequence[_Group], results: Sequence[list[list[Response]]]
) -> list[dict[str, Any]]:
    """The rows of `samples.parquet`."""
    measures = response_measures(config.backtracks, config.response_steps) if config.backtracks else None
    rows: list[dict[str, Any]] = []
    responses: list[tuple[Problem, str]] = []
    for group, found in zip(groups, results, strict=True):
        for (source, problem), samples in zip(group.questions, found, strict=True):
            shared = {
                "source": source,
                "problem": problem.id,
                "level": problem.level,
                "cluster": cluster_of(source, problem, config.suite.cluster),
                "verifier": problem.verifier,
                "arm": group.arm,
            }
            seeds = conversation_about(problem, config.seed, group.samples).seeds
            for number, seed, sample in zip(group.samples, seeds, samples, strict=True):
                read = measures(problem, sample["text"]) if measures else dict.fromkeys((*MEASURES, *LATER_MEASURES))
                rows.append(shared | {"sample": number, "seed": seed} | sample | read)
                responses.append((problem, sample["text"]))
    verdicts = verify_all(ctx, responses)
    for row, verdict in zip(rows, verdicts, strict=True):
        row |= {"outcome": str(verdict.outcome), "detail": verdict.detail}
    for row, (problem, response) in zip(rows, responses, strict=True):
        row |= domain_check(problem, response, row["tokens"])
    by_problem: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_problem[row["source"], row["problem"]].append(index)
    with ThreadPoolExecutor(worker_count()) as threads:
        votes = threads.map(
            lambda own: _votes(responses[own[0]][0], [verdicts[index] for index in own]), by_problem.values()
        )
        for own, answers in zip(by_problem.values(), votes, strict=True):
            for index, answer in zip(own, answers, strict=True):
                rows[index]["extracted"] = answer
    return rows


def _votes(problem: Problem, verdicts: Sequence[Verdict]) -> list[str]:
    """The answers of one problem's samples from all arms; equal answers get the same spelling."""
    verifier = get_verifier(problem.verifier)

    def same(first: int, second: int) -> bool:
        pair = (verdicts[first], verdicts[second])
        # correct answers already have one spelling; answers without a verdict cannot be compared
        if any(verdict.outcome is not Outcome.INCORRECT for verdict in pair):
            return False
        return verifier.same(problem, verdicts[first].extracted, verdicts[second].extracted)

    return representatives([verdict.answer for verdict in verdicts], same)
