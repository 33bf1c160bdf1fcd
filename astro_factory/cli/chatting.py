"""`chat`: ask a built model."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astro_factory.cli.options import (
    ProfileOption,
    SetOption,
    StoreOption,
    TrustOption,
    known_stage,
    not_built,
    open_store,
    read_target,
)
from astro_factory.cli.rows import print_segments, visible
from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.errors import UserError
from astro_factory.report import BuiltSpec, built_spec

if TYPE_CHECKING:
    from astro_factory.core.config import TemplateSource
    from astro_factory.core.problems import Problem
    from astro_factory.core.step_format import StepFormat
    from astro_factory.report.chat import ChatModel, Sampling


def chat(
    target: Annotated[
        str, typer.Argument(metavar="SPEC:STAGE", help="A built model, or a model folder.", show_default=False)
    ],
    question: Annotated[
        str | None,
        typer.Argument(help="A question or the id of a problem. Default: lines of stdin.", show_default=False),
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option("--compare", metavar="STAGE", help="Ask this model too; may be repeated.")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Responses to each question.")] = 1,
    temperature: Annotated[float, typer.Option("--temperature", min=0.01, help="Sampling temperature.")] = 1.0,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Longest response.")] = 512,
    seed: Annotated[int, typer.Option("--seed", help="Source of randomness.")] = 0,
    trust: TrustOption = False,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
) -> None:
    """Ask a model and see its backtracks in colour, with the verdict where the problem is known."""
    from astro_factory.plan.code_access import enable_code
    from astro_factory.report.chat import ChatModel, Sampling, known_problems, spoken_template

    template: TemplateSource | None = None
    steps: dict[str, StepFormat | None] = {}
    problems: Mapping[str, Problem] = {}
    if Path(target).is_dir():
        folders = {Path(target).name: Path(target)}
    else:
        spec, folders = _models(target, compare or [], store, sets, profile)
        template, problems = spoken_template(spec), known_problems(spec)
        steps = {name: spec.steps_of(name) for name in folders} if template else {}
        enable_code(spec.graph, trust)
    models = {name: ChatModel(folder) for name, folder in folders.items()}
    sampling = Sampling(samples, temperature, max_tokens, seed)
    for text in [question] if question is not None else _typed():
        known = problems.get(text)
        _answer(models, known.question if known else text, known, template, steps, sampling)


def _models(
    target: str, others: list[str], store: Path | None, sets: list[str] | None, profile: str | None
) -> tuple[BuiltSpec, dict[str, Path]]:
    """The spec and the folders of its named models. Raises `UserError` E151, E152, E169."""
    from astro_factory.plan import make_plan
    from astro_factory.plan.locks import locked_commits

    path, graph, stage = read_target(target, sets, profile)
    place, folders = open_store(store), {}
    plan = make_plan(graph, place, commits=locked_commits(graph))
    spec = built_spec(plan, place)
    for name in dict.fromkeys((stage, *others)):
        known_stage(graph, name, path)
        if graph.nodes[name].output is not ArtifactType.MODEL:
            raise UserError.of("E169", f"'{name}' makes {graph.nodes[name].output}, not a model", "name a model")
        if name not in spec.stages:
            raise not_built(name, path, place, plan.nodes[name])
        folders[name] = spec.stages[name].folder
    return spec, folders


def _typed() -> Iterable[str]:
    """Questions from stdin, a line each, with a prompt on a terminal."""
    while True:
        if sys.stdin.isatty():
            print("> ", end="", flush=True, file=sys.stderr)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()


def _answer(
    models: "Mapping[str, ChatModel]",
    question: str,
    problem: "Problem | None",
    template: "TemplateSource | None",
    steps: "Mapping[str, StepFormat | None]",
    sampling: "Sampling",
) -> None:
    from rich.console import Console

    from astro_factory.report.samples import classified_pieces
    from astro_factory.verifiers import get_verifier

    console = Console()
    console.print(visible(question), style="bold", markup=False, highlight=False)
    for name, model in models.items():
        for response in model.ask(question, sampling):
            verdict = ""
            if problem is not None:
                verdict = f": {get_verifier(problem.verifier).verify(problem, response).outcome}"
            console.rule(f"{name}{verdict}", align="left", style="dim")
            print_segments(console, classified_pieces(response, question, template, steps.get(name)))


COMMANDS = (chat,)
