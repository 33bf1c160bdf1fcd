"""`build`: run what is missing."""

import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from astro_factory.cli.options import (
    CacheOption,
    JobsOption,
    JsonOption,
    LockedOption,
    MaxGpuHoursOption,
    MaxHoursOption,
    MaxTokensOption,
    NoImportOption,
    ProfileOption,
    SetOption,
    SpecArgument,
    StoreOption,
    SweepOption,
    TrustOption,
    known_stage,
    open_caches,
    open_store,
    print_json,
    read_graph,
    spending_of,
)
from astro_factory.cli.summary import print_summary, summary
from astro_factory.cli.terminal import open_view
from astro_factory.core.devices import inventory
from astro_factory.core.graph import Graph
from astro_factory.core.plans import Plan
from astro_factory.plan.building import build_graph
from astro_factory.plan.fit import wants_gpus
from astro_factory.runtime import BuildOptions
from astro_factory.runtime.events import Watcher
from astro_factory.runtime.journal import PlannedBuild
from astro_factory.store import Store
from astro_factory.store.disk_errors import disk_errors_explained

KeepGoingOption = Annotated[
    bool, typer.Option("--keep-going/--no-keep-going", help="Continue with stages that do not depend on a failed one.")
]


def build(
    spec: SpecArgument,
    stages: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STAGE]...", help="Stages to build, with their inputs. Default: all, then publish."),
    ] = None,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    sweep: SweepOption = None,
    locked: LockedOption = False,
    jobs: JobsOption = None,
    max_tokens: MaxTokensOption = None,
    max_hours: MaxHoursOption = None,
    max_gpu_hours: MaxGpuHoursOption = None,
    keep_going: KeepGoingOption = True,
    no_import: NoImportOption = False,
    cache: CacheOption = None,
    trust: TrustOption = False,
    no_publish: Annotated[bool, typer.Option("--no-publish", help="Skip the publish stages.")] = False,
    continue_across: Annotated[
        list[str] | None,
        typer.Option(
            "--continue-across",
            metavar="STAGE",
            help="Let a stage continue the checkpoint of a run that differs in the last bits only, for example by "
            "another micro_batch_size. May be repeated.",
        ),
    ] = None,
    log: Annotated[
        Path | None, typer.Option("--log", help="Add each event to this file, a line of JSON.", show_default=False)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only the summary.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run all missing stages, then publish."""
    graph = read_graph(spec, sets, profile, sweep)
    for name in [*(stages or ()), *(continue_across or ())]:
        known_stage(graph, name, spec)
    others = [name for name in graph.wanted() if graph.nodes[name].section != "publish"]
    targets = list(dict.fromkeys(stages or ())) or (others if no_publish else None)
    place = open_store(store)
    options = BuildOptions(
        jobs=jobs,
        keep_going=keep_going,
        locked=locked,
        use_imports=not no_import,
        caches=open_caches(cache),
        trust=trust,
        continue_across=continue_across or (),
        spending=spending_of(max_tokens, max_hours, max_gpu_hours),
    )
    execute(graph, place, spec, options, targets=targets, log=log, quiet=quiet, as_json=as_json)


def execute(
    graph: Graph,
    place: Store,
    spec: Path,
    options: BuildOptions,
    *,
    targets: list[str] | None,
    as_json: bool,
    log: Path | None = None,
    quiet: bool = False,
) -> None:
    """Plan, run and print a summary. Exits with code 1 if a stage failed."""
    found = made(graph, place, options, targets=targets, quiet=as_json or quiet, log=log)
    if as_json:
        print_json(found)
    else:
        print_summary(found, spec)
    if not found["ok"]:
        raise typer.Exit(1)


def made(
    graph: Graph,
    place: Store,
    options: BuildOptions,
    *,
    quiet: bool,
    targets: list[str] | None = None,
    log: Path | None = None,
) -> dict[str, Any]:
    """Build a graph; returns its `summary`."""
    started = time.monotonic()

    def view(plan: Plan, planned: PlannedBuild) -> AbstractContextManager[Watcher]:
        if wants_gpus(plan) and not inventory().gpus:
            print("this machine has no GPU: models run on its CPU", file=sys.stderr)
        return open_view(planned, quiet=quiet, log=log)

    done = build_graph(graph, place, options, view, targets)
    if done.tracking_fault:
        print(f"track: {done.tracking_fault}; the build is not affected", file=sys.stderr)
    with disk_errors_explained(place.root), place.building():
        return summary(done.plan, place, done.build, time.monotonic() - started, done.estimates)


COMMANDS = (build,)
