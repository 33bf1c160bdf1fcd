"""`plan`, `explain`, `lock`: what a build would do, why, and the pinned inputs outside the spec."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astro_factory.cli.code_lines import code_as_json, print_code
from astro_factory.cli.options import (
    CacheOption,
    JobsOption,
    JsonOption,
    LockedOption,
    MachineOption,
    NoImportOption,
    ProfileOption,
    SetOption,
    SpecArgument,
    StoreOption,
    SweepOption,
    command_line,
    known_stage,
    open_caches,
    open_store,
    print_json,
    read_graph,
    read_target,
)
from astro_factory.core.devices import inventory
from astro_factory.core.errors import UserError
from astro_factory.core.machines import parse_machine, this_machine
from astro_factory.core.plans import UNBUILT
from astro_factory.plan import make_plan
from astro_factory.plan.fit import require_usable_gpus, wants_gpus
from astro_factory.plan.locks import commits_for, locked_commits
from astro_factory.plan.model_configs import fetch_configs
from astro_factory.plan.predictions import predictions
from astro_factory.plan.preflight import preflight, require_cluster
from astro_factory.plan.servers import server_commands

if TYPE_CHECKING:
    from astro_factory.plan.explaining import Explanation


def plan(
    spec: SpecArgument,
    stages: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STAGE]...", help="Stages to plan, with their inputs. Default: all, and publish."),
    ] = None,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    sweep: SweepOption = None,
    jobs: JobsOption = None,
    reasons: Annotated[bool, typer.Option("--reasons", help="List all changes of the stages that run again.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Use no network.")] = False,
    locked: LockedOption = False,
    no_import: NoImportOption = False,
    cache: CacheOption = None,
    machine: MachineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a build would run, why, and what it takes. Exits with code 2 if a stage does not fit the machine."""
    from astro_factory.cli.predictions import print_predictions
    from astro_factory.cli.tables import plan_as_json, print_plan
    from astro_factory.plan.estimates import estimates
    from astro_factory.plan.moved import moved_by_version
    from astro_factory.plan.planner import last_results
    from astro_factory.plan.wall_time import wall_time

    graph, place = read_graph(spec, sets, profile, sweep), open_store(store)
    for name in stages or ():
        known_stage(graph, name, spec)
    graph = graph.only(stages or None)
    commits = commits_for(graph, offline=offline, locked=locked)
    caches = () if offline else open_caches(cache)
    if not offline:
        fetch_configs(graph)
    planned = make_plan(graph, place, commits=commits, use_imports=not no_import, caches=caches)
    preflight(planned, online=False)
    if machine is None:
        require_usable_gpus(planned, inventory())
        if not offline:
            require_cluster(planned)
    target = this_machine(inventory()) if machine is None else parse_machine(machine)
    expected, needed = estimates(planned, place), predictions(planned, target)
    wall, moved = wall_time(planned, expected, jobs), moved_by_version(planned, expected, last_results(graph, place))
    waiting = [name for name, item in planned.nodes.items() if item.status in UNBUILT]
    servers = server_commands(graph, waiting, lambda name: command_line("show", f"{spec}:{name}", "--path"))
    faults = [found.fault for found in needed.values() if found.fault]
    if as_json:
        code = code_as_json(graph, planned.nodes)
        started = [{"stage": name, "commands": commands} for name, commands in servers.items()]
        print_json(plan_as_json(planned, expected, needed, wall, moved) | {"code": code, "servers": started})
        raise typer.Exit(2 if faults else 0)
    print_plan(planned, expected, wall, moved, every_change=reasons)
    print_code(graph, planned.nodes)
    print_predictions(needed, target, wants_gpus(planned))
    for name, commands in servers.items():
        print(f"{name}: before its turn start its server, on GPUs of its own:")
        print(*(f"    {command}" for command in commands), sep="\n")
    if faults:
        raise UserError(*faults)


def explain(
    target: Annotated[str, typer.Argument(metavar="SPEC", help="The spec, or SPEC:STAGE.", show_default=False)],
    stage: Annotated[str | None, typer.Argument(metavar="STAGE", help="A stage.", show_default=False)] = None,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    sweep: SweepOption = None,
    no_import: NoImportOption = False,
    as_json: JsonOption = False,
) -> None:
    """Explain why a stage would run: the changes since the last build, and where the spec makes them."""
    from astro_factory.plan.explaining import explain as explained

    _, graph, name = read_target(f"{target}:{stage}" if stage else target, sets, profile, sweep)
    place, commits = open_store(store), locked_commits(graph)
    planned = make_plan(graph, place, targets=[name], commits=commits, use_imports=not no_import)
    found = explained(planned, place, commits, name)
    if as_json:
        print_json(found.as_json())
    else:
        _print_explanation(found)


def _print_explanation(found: "Explanation") -> None:
    item = found.planned
    key = f", key {item.key[:16]}" if item.key else ""
    print(f"{item.node.name} ({item.node.kind}): {item.status}, {item.reason}{key}")
    if found.waits:
        print(f"waits for {', '.join(found.waits)}: explain those too")
    if not found.previous:
        print("there is no record to compare with: the store has no result of this kind")
        return
    same = "" if found.changes else ": no changes"
    print(f"compared with {found.against} (key {found.previous.key[:16]}){same}")
    width = max((len(change.kind) for change in found.changes), default=0)
    for change in found.changes:
        print(f"  {change.kind:<{width}}  {change.text}")
        if change.place:
            print(f"  {'':<{width}}  at {change.place}")


def diff(
    first: SpecArgument,
    second: Annotated[Path, typer.Argument(metavar="SPEC", help="The spec to compare with.", show_default=False)],
    sets: SetOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two specs: which entries differ, in what, and which only because of what they read."""
    from astro_factory.plan.comparing import compare

    graphs = [read_graph(spec, sets, profile) for spec in (first, second)]
    found = compare(*graphs)
    same = sum(name in graphs[1].nodes for name in graphs[0].nodes) - sum("only" not in entry.status for entry in found)
    if as_json:
        print_json({"entries": [entry.as_json() for entry in found], "equal": same})
        return
    for entry in found:
        reads = f" (reads {', '.join(entry.inputs)})" if entry.status == "moved" else ""
        print(f"{entry.name} ({entry.kind}): {entry.status}{reads}")
        for change in entry.changes:
            print(f"  {change.text}" + (f"  ({change.place})" if change.place else ""))
    print(f"{len(found)} differ, {same} are equal and share their results")


def lock(
    spec: SpecArgument,
    update: Annotated[
        list[str] | None,
        typer.Option(
            "--update", metavar="NAME", help="Update the revision of this model or problem set; may be repeated."
        ),
    ] = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the lock file: the commit of every Hub revision and a digest of every file outside the spec."""
    from astro_factory.plan.locks import refresh

    graph = read_graph(spec, sets, profile)
    found = refresh(graph, update or ())
    if as_json:
        print_json({"lock": graph.lock_path, "changes": [entry.as_json() for entry in found]})
        return
    for entry in found:
        print(entry)
    print(f"{Path(graph.lock_path).name}: {len(found)} changed" if found else "no changes")


COMMANDS = (plan, explain, diff, lock)
