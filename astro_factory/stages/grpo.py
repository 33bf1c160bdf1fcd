"""Reinforcement learning with verifiable rewards on a set of problems."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import LATER, TemplateField
from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic
from astro_factory.core.graph import GraphNode
from astro_factory.core.problems import Problem
from astro_factory.core.step_format import StepsField
from astro_factory.core.tables import read_table
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.prompt_sources import known_rates, states_of, tally_of, without_rates
from astro_factory.stages.training_hooks import cores, gpus, lighter, requirements, threads
from astro_factory.training.launch import is_training_process, run_distributed
from astro_factory.training.rollout_server import (
    base_url,
    check_server,
    served_model,
    server_command,
    server_of,
    whole_model,
)
from astro_factory.training.rollout_settings import EngineRollouts, VLLMRollouts
from astro_factory.training.settings import GRPOSettings
from astro_factory.training.totals import not_counted, sampled_by

if TYPE_CHECKING:
    from astro_factory.engines.openai_engine import OpenAIEngine
    from astro_factory.training.grpo_task import Generate, Task

OUTPUT = ArtifactType.MODEL
VERSION = 1
HEAVY = True

__all__ = [
    "HEAVY",
    "OUTPUT",
    "VERSION",
    "Config",
    "cores",
    "estimate",
    "gpus",
    "lighter",
    "preflight",
    "requirements",
    "run",
    "servers",
    "threads",
]


class Config(GRPOSettings):
    kind: Literal["grpo"]
    template: TemplateField | None = None
    """Wording by which backtracks, dead ends, repeated steps and backtracks to nowhere are counted in the training
    curves."""
    response_steps: Annotated[StepsField | None, LATER] = None
    """What a step of a response is, for these counts: a name from `step_formats:`, or a mapping. Default: a line."""


def estimate(config: Config, rows: Rows) -> Workload:
    """At most so many responses per step, whatever the number of problems. With `match_tokens` the number of rounds,
    and so of tokens, shows when the other stage has run."""
    samples = config.steps * config.prompts_per_step * config.group_size * (1 + config.max_replacements)
    if config.match_tokens:
        return Workload("samples", samples)
    return Workload("samples", samples, calls=samples, tokens=samples * config.max_new_tokens)


def preflight(config: Config, upstream: Sequence[GraphNode], online: bool) -> list[Diagnostic]:
    """Whether the stage whose sampling is to be matched counts its tokens, and the source of rates has any."""

    def named(name: str | None) -> list[GraphNode]:
        return [node for node in upstream if node.name.partition("[")[0] == name]

    matched, source = config.match_tokens, config.difficulty and config.difficulty.rates
    uncounted = [node for node in named(matched) if not getattr(node.config, "count_tokens", False)]
    others = [node for node in named(source) if node.output is ArtifactType.PROBLEMS and node.kind != "pass_rate"]
    return [not_counted(str(matched)) for _ in uncounted] + [without_rates(str(source)) for _ in others]


def servers(config: Config, models: Mapping[str, str]) -> list[str]:
    """The server that samples the rollouts, if one does."""
    return [server_command(config.served, models[config.model])] if config.served else []


def run(ctx: StageContext, config: Config) -> None:
    # on Ray the machine that builds need not have a GPU, nor reach the server
    if config.served and is_training_process() == (config.launch.backend == "ray"):
        check_server(config, config.served, ctx.inputs[config.model])
    if config.launch.is_distributed and not is_training_process():
        return run_distributed(__name__, ctx, config, config.launch)
    from astro_factory.training.grpo import train_grpo

    matched = config.match_tokens
    tokens = sampled_by(ctx.inputs[matched], matched) if matched else None
    train_grpo(config, make_task(ctx, config), ctx.inputs[config.model], ctx.out, ctx.scratch, ctx.events, tokens)


def make_task(ctx: StageContext, config: Config) -> "Task":
    """What the trainer needs to know about the problems."""
    from astro_factory.traces.response_parser import response_measures
    from astro_factory.training.grpo_task import Task
    from astro_factory.verifiers import get_verifier
    from astro_factory.verifiers.pool import worker_count

    processes = config.launch.processes  # only the first process sends events
    rows = read_table(ctx.inputs[config.problems] / TABLE_FILES[ArtifactType.PROBLEMS])
    problems = [Problem.from_row(row) for row in rows]
    source = config.difficulty.rates if config.difficulty else None
    rates = dict(known_rates(source, ctx.inputs[source], problems, config.group_size) if source else {})
    states = states_of(config.start_from.trees, ctx.inputs[config.start_from.trees]) if config.start_from else []
    rates |= {len(problems) + i: tally_of(state.ends, config.group_size) for i, state in enumerate(states)}
    return Task(
        problems=problems + [state.problem for state in states],
        beginnings=[state.beginning for state in states],
        rates=rates,
        judge=lambda problem, response: get_verifier(problem.verifier).verify(problem, response),
        judges=worker_count(),
        make_generate=lambda model, tokenizer: _generate(config, model, tokenizer, ctx.inputs[config.model]),
        measures=response_measures(config.template, config.response_steps)
        if config.template
        else lambda problem, response: {},
        spent=lambda tokens, calls: ctx.events.spent(tokens * processes, calls * processes),
        phase=ctx.events.phase,
        warn=ctx.events.log,
        show=lambda step, rollouts: ctx.events.metric(step, {"rollouts": rollouts}),
    )


def _generate(config: Config, model: Any, tokenizer: Any, folder: Path) -> "Generate":
    """Sample from the model in training, in the same process or from a server that has its weights.

    Args:
        folder: the model artifact that training starts from.
    """
    from astro_factory.engines.base import Request
    from astro_factory.engines.sampler import Sampler

    batch_size = config.rollouts.batch_size if isinstance(config.rollouts, EngineRollouts) else 1
    sampler = _served(config.served, folder) if config.served else Sampler(model, tokenizer, batch_size=batch_size)

    def generate(prompts: Sequence[Sequence[int]], seeds: Sequence[Sequence[int]]) -> list[list[Any]]:
        requests = [
            Request(tuple(prompt), tuple(group), config.max_new_tokens, config.temperature, processed_logprobs=True)
            for prompt, group in zip(prompts, seeds, strict=True)
        ]
        if config.served is None:
            return sampler.generate(requests)
        with server_of(base_url(config.served)):
            return sampler.generate(requests)

    return generate


def _served(rollouts: VLLMRollouts, folder: Path) -> "OpenAIEngine":
    """The engine that asks the server of these rollouts."""
    from astro_factory.engines.config import OpenAIConfig
    from astro_factory.engines.openai_engine import OpenAIEngine

    url = base_url(rollouts)
    with server_of(url):
        served = served_model(url)
    fields = {"timeout_s": rollouts.timeout_s, "retries": rollouts.retries, "max_model_len": served.max_model_len}
    config = OpenAIConfig(kind="openai", base_urls=[f"{url}/v1"], model=served.name, **fields)
    return OpenAIEngine(config, whole_model(folder))
