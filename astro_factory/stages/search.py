"""Search: one tree for each problem, by a policy, a model and a verifier.

Each tree is an item under its own key (policy, model, engine, problem, seed), so a killed run loses only the trees in
flight and ten more problems cost ten searches. Trees grow side by side, in one or several processes with an engine
each. A tree is independent of the others if the engine's samples are (see `engines.decoders`).
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from time import monotonic
from typing import Annotated, Any, Literal

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.canonical import digest
from astro_factory.core.config import NOT_SEMANTIC, ModelRef, ProblemsRef, StageConfig, semantic_values
from astro_factory.core.context import Items, StageContext
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.machines import Machine
from astro_factory.core.model_shapes import ModelShape
from astro_factory.core.problems import Problem
from astro_factory.core.requirements import Requirements
from astro_factory.core.tables import read_table, write_batches
from astro_factory.core.trees import schema_with_steps, unpack
from astro_factory.core.workload import Extrapolation, Rows, Workload, times
from astro_factory.engines.config import EngineField
from astro_factory.search.config import PolicyField, PythonPolicyConfig
from astro_factory.search.engine_worker import SearchSettings
from astro_factory.search.extrapolation import Speed
from astro_factory.search.extrapolation import extrapolate as trees_extrapolated
from astro_factory.search.ledger import Ledger
from astro_factory.search.statistics import TreeStatistics
from astro_factory.search.step_check import StepCheck
from astro_factory.search.workers import EngineWorker, drive, local_workers
from astro_factory.stages.problems.own_verifier import own_verifier
from astro_factory.stages.requirements import engine_needs
from astro_factory.stages.sampling_hooks import cores, gpus, lighter, log_slow_type
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.base import Verifier

OUTPUT = ArtifactType.TREES
VERSION = 1
HEAVY = True

__all__ = [
    "HEAVY",
    "OUTPUT",
    "VERSION",
    "Config",
    "check",
    "cores",
    "estimate",
    "extrapolate",
    "gpus",
    "lighter",
    "probe",
    "requirements",
    "run",
]
_ITEM = "packed tree"
"""Format of an item's bytes; part of its key."""


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
    """Processes that share the problems, each with its own copy of the model; they share the machine's GPUs."""
    backend: Annotated[Literal["local", "ray"], NOT_SEMANTIC] = "local"
    """Where the processes run: on this machine, or as actors of the Ray cluster at `RAY_ADDRESS`."""
    trees_in_flight: Annotated[int, Field(gt=0), NOT_SEMANTIC] = 512
    """Trees that grow at the same time in each process; a killed run loses at most these."""
    seed: int = 0
    """Source of randomness."""


def requirements(
    config: Config, shapes: Mapping[str, ModelShape], workload: Workload, machine: Machine
) -> Requirements | None:
    """Of the engines."""
    shape = shapes.get(config.model)
    if shape is None:
        return None
    if config.backend == "ray":  # its GPUs are those of the cluster
        return Requirements()
    return engine_needs(config.engine, config.processes, config.policy.max_rollout_tokens, shape, workload, machine)


def estimate(config: Config, rows: Rows) -> Workload:
    """A tree for each problem."""
    problems, limits = rows.get(config.problems), config.policy.limits()
    if limits is None:
        return Workload("trees", problems, rows=problems)
    calls, tokens = limits
    most = times(problems, calls)
    return Workload("samples", most, rows=problems, calls=most, tokens=times(problems, tokens))


def check(config: Config, files: Mapping[str, str]) -> Iterator[Diagnostic]:
    """An engine whose context is too small for a rollout; warns of a policy without limits."""
    longest, needed = config.engine.context_length(), config.policy.max_rollout_tokens
    if longest is not None and longest <= needed:
        cause = f"the engine's context of {longest} tokens has no room for a prompt and a rollout of {needed} tokens"
        yield Diagnostic("E617", cause, "raise the engine's max_model_len or lower the policy's max_rollout_tokens")
    if config.policy.limits() is None:
        cause = f"nothing limits what a tree of the policy '{config.policy.kind}' may cost, so `plan` cannot name it"
        own = isinstance(config.policy, PythonPolicyConfig)
        remedy = "set max_samples in the policy" if own else "let `limits` of its Config return a bound"
        yield Diagnostic("W104", cause, f"{remedy}, or set a budget in the stage")


def run(ctx: StageContext, config: Config) -> None:
    problems = _problems(ctx, config)
    _search(ctx, config, dict(problems))
    statistics = TreeStatistics(config.policy.steps)
    trees = (statistics.add(unpack(_stored(ctx.items, key))) for key, _ in problems)
    write_batches(ctx.out / TABLE_FILES[OUTPUT], trees, schema_with_steps(config.policy.steps))
    figures = statistics.as_json()
    text = json.dumps(figures, indent=1) + "\n"
    (ctx.out / "statistics.json").write_text(text, encoding="utf-8")
    _warn(ctx, figures)


def probe(ctx: StageContext, config: Config, count: int) -> None:
    """The trees with the smallest keys, which are a random sample."""
    problems = dict(_problems(ctx, config))
    _search(ctx, config, {key: problems[key] for key in sorted(problems)[:count]})


def extrapolate(ctx: StageContext, config: Config) -> Extrapolation | None:
    problems = dict(_problems(ctx, config))
    stored = [key for key in problems if key in ctx.items]
    return trees_extrapolated(stored, len(problems), ctx.items.get, Speed(ctx.scratch).tokens_per_s)


def _problems(ctx: StageContext, config: Config) -> list[tuple[str, Problem]]:
    """The problems in the order of their table, each with the key of its tree."""
    table = ctx.inputs[config.problems] / TABLE_FILES[ArtifactType.PROBLEMS]
    in_common = digest(
        [
            _ITEM,
            VERSION,
            semantic_values(config.policy),
            ctx.digests[config.model],
            semantic_values(config.engine),
            config.seed,
            *([verifier] if (verifier := own_verifier(table)) else []),  # a tree has verdicts
        ]
    )
    problems = (Problem.from_row(row) for row in read_table(table))
    return [(item_key(in_common, problem), problem) for problem in problems]


def _check(config: Config, problems: Collection[Problem]) -> None:
    """Raises `UserError` E616 without problems, and E623 if a verifier has no values for a policy that needs them."""
    if not problems:
        raise UserError.of("E616", f"'{config.problems}' holds no problems to search", "look at its source and filters")
    names = {problem.verifier for problem in problems} if config.policy.asks_verifier else ()
    for name in sorted(names):
        if type(get_verifier(name)).value is Verifier.value:
            raise UserError.of(
                "E623",
                f"the policy asks for the verifier's value of a state, but '{name}' has none",
                "use rollouts or self_evaluation, or define `value` in a verifier of your own",
            )


def _stored(items: Items, key: str) -> bytes:
    value = items.get(key)
    assert value is not None, f"item {key} was stored a moment ago"
    return value


def item_key(in_common: str, problem: Problem) -> str:
    return digest([in_common, problem.as_row()])


def _search(ctx: StageContext, config: Config, problems: Mapping[str, Problem]) -> None:
    """Grow the missing trees of these problems, by key, and store each."""
    _check(config, problems.values())
    ledger = Ledger(ctx.items, problems)
    solved = tokens = 0
    steps = StepCheck(config.policy.steps, ctx.events.log)
    found, speed = ledger.existing, Speed(ctx.scratch)
    ctx.events.progress(found, ledger.total, "trees")
    settings = SearchSettings(ctx.inputs[config.model], config.engine, config.policy, config.seed)
    if found < ledger.total and config.backend == "local":
        log_slow_type(ctx.events, config.engine, settings.folder)
    workers = _workers(settings, ctx, config, ledger)
    start = last = 0.0
    for result in drive(workers, ledger, config.trees_in_flight, config.heartbeat_s):
        now = monotonic()
        if start:
            speed.add(result.tokens, now - last)
        start, last = start or now, now  # the first answer comes when an engine is loaded
        solved, tokens = solved + result.solved, tokens + result.tokens
        steps.add(result, last=ledger.done)
        ctx.events.spent(tokens=result.tokens, calls=result.calls)
        figures = {"tokens_per_s": tokens / max(monotonic() - start, 1e-9), "solved": solved / max(ledger.completed, 1)}
        ctx.events.progress(ledger.existing + ledger.completed, ledger.total, "trees", **figures)


def _workers(
    settings: SearchSettings, ctx: StageContext, config: Config, ledger: Ledger
) -> list[Callable[[], EngineWorker]]:
    processes = max(1, min(config.processes, ledger.total - ledger.existing))
    if config.backend == "local" or ledger.done:
        return local_workers(settings, processes)
    from astro_factory.search.ray_workers import ray_workers

    return ray_workers(settings, ctx.digests[config.model], processes, ctx.events.log)


def _warn(ctx: StageContext, figures: Mapping[str, Any]) -> None:
    """Log what makes trees useless through no fault of the model; raise an error if that affects all of them."""
    if without := figures.get("without_steps"):
        ctx.events.log(f"in {without} of {figures['trees']} trees the model wrote no step in the policy's format")
    if lacking := figures.get("without_room"):
        cause = f"the prompts of {lacking} of {figures['trees']} problems leave no room in the engine's context"
        ctx.events.log(cause)
        if lacking == figures["trees"]:
            raise UserError.of("E601", cause, "raise the engine's max_model_len, up to what the model allows")
    for outcome, count in figures.get("unjudged_ends", {}).items():
        ctx.events.log(f"{count} ends have the verdict '{outcome}'")
