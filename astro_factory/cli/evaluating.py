"""`samples`, `harness`: a built evaluation in other evaluation tools."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astro_factory.cli.options import (
    JsonOption,
    ProfileOption,
    SetOption,
    StoreOption,
    TrustOption,
    built_results,
    open_store,
    print_json,
    read_target,
)
from astro_factory.core.errors import UserError, near
from astro_factory.store.disk_errors import disk_errors_explained

if TYPE_CHECKING:
    from astro_factory.core.graph import Graph
    from astro_factory.evaluation.evaluation_results import Evaluation
    from astro_factory.stages.evaluate import Config
    from astro_factory.store import Store

TargetArgument = Annotated[
    str, typer.Argument(metavar="SPEC:STAGE", help="A built evaluate stage.", show_default=False)
]
FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write.", show_default=False)]


def samples(
    target: TargetArgument,
    folder: FolderArgument,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the samples of an evaluation as inspect-ai logs, one per arm."""
    from astro_factory.evaluation.inspect_logs import write_logs

    spec, graph, stage = read_target(target, sets, profile)
    place = open_store(store)
    with disk_errors_explained(folder), place.gc_paused():
        written = write_logs(_evaluation(spec, graph, stage, place), folder)
    if as_json:
        print_json({"stage": stage, "files": [str(path) for path in written]})
        return
    for path in written:
        print(f"{path}: {path.stat().st_size:,} bytes")
    print(f"next: inspect view --log-dir {folder}")


def harness(
    target: TargetArgument,
    folder: FolderArgument,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    arm: Annotated[
        list[str] | None,
        typer.Option("--arm", help="An arm to evaluate; may be repeated. Default: all.", show_default=False),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first N problems.", show_default=False)] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Batch size of the harness.")] = 16,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Repeat an evaluation with lm-evaluation-harness and compare the results."""
    from astro_factory.evaluation.harness import (
        ArmComparison,
        HarnessOptions,
        compare_with_harness,
        comparison_tables,
        harness_version,
        prompts_were_truncated,
        run_task,
        write_task,
    )
    from astro_factory.plan.code_access import enable_code

    spec, graph, stage = read_target(target, sets, profile)
    arms = _arms(graph, stage, arm)
    version = harness_version()
    enable_code(graph, trust)
    place = open_store(store)
    found: dict[str, ArmComparison] = {}
    engine = _config(graph, stage).engine
    options = HarnessOptions(batch_size, getattr(engine, "device", "auto"), getattr(engine, "dtype", "auto"))
    with disk_errors_explained(folder), place.building():
        evaluation = _evaluation(spec, graph, stage, place, arms)
        problems = dict(list(evaluation.problems.items())[:limit])
        write_task(folder, evaluation, problems)
        for name in arms:
            print(f"{name}: lm-eval runs on {len(problems)} problems; its log is in {folder / name}", file=sys.stderr)
            theirs = run_task(folder, evaluation, name, options)
            truncated = prompts_were_truncated(folder, name)
            found[name] = compare_with_harness(evaluation, name, theirs, truncated)
    if as_json:
        arms_json = {name: compared.model_dump(mode="json", exclude_unset=True) for name, compared in found.items()}
        print_json({"stage": stage, "lm_eval": version, "folder": str(folder), "arms": arms_json})
        return
    from rich.console import Console

    Console().print(comparison_tables(evaluation, found))


def _config(graph: "Graph", stage: str) -> "Config":
    """The configuration of an evaluate stage. Raises `UserError` E802 for another kind."""
    from astro_factory.stages.evaluate import Config

    node = graph.nodes[stage]
    if not isinstance(node.config, Config):
        cause = f"'{stage}' is of kind {node.kind} and has no samples"
        raise UserError.of("E802", cause, "name an evaluate stage")
    return node.config


def _arms(graph: "Graph", stage: str, wanted: list[str] | None) -> list[str]:
    """The arms to evaluate, by default all. Raises `UserError` E802, E806."""
    offered = _config(graph, stage).arms
    for name in wanted or ():
        if name not in offered:
            raise UserError.of("E806", f"'{stage}' has no arm '{name}'", near(name, offered))
    return list(dict.fromkeys(wanted or offered))


def _evaluation(spec: Path, graph: "Graph", stage: str, store: "Store", models: Sequence[str] = ()) -> "Evaluation":
    """The built stage, with its problems, its worked examples and the named models. Raises `UserError` E802, E152."""
    from astro_factory.evaluation.evaluation_results import Evaluation
    from astro_factory.stages.worked_examples import worked_examples

    config = _config(graph, stage)
    shown = [config.examples] if config.examples else []
    sources = {name: graph.nodes[stage].reads[name] for name in (*config.suite.problems, *models, *shown)}
    results = built_results(graph, spec, store, stage, list(sources.values()))
    inputs = {name: store.output(results[source]) for name, source in sources.items()}
    found = Evaluation(graph.name, stage, results[stage], config, store.output(results[stage]), inputs)
    if not config.examples:
        return found
    asked = {problem.question for problem in found.problems.values()}
    return replace(found, examples=worked_examples(inputs[config.examples], config.example_count, asked))


COMMANDS = (samples, harness)
