"""`probe`: search a few problems to learn what all of them will take."""

from typing import Annotated, Any

import typer

from astro_factory.cli.options import (
    CacheOption,
    JsonOption,
    LockedOption,
    NoImportOption,
    ProfileOption,
    SetOption,
    StoreOption,
    TrustOption,
    command_line,
    open_caches,
    open_store,
    print_json,
    read_target,
)
from astro_factory.cli.tables import takes
from astro_factory.cli.terminal import open_view
from astro_factory.plan.probing import Probe
from astro_factory.plan.probing import probe as run_probe
from astro_factory.runtime import BuildOptions


def probe(
    target: Annotated[str, typer.Argument(metavar="SPEC:STAGE", help="A search stage of a spec.", show_default=False)],
    count: Annotated[int, typer.Option("-n", min=2, help="Problems to search, drawn at random.")] = 20,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    locked: LockedOption = False,
    no_import: NoImportOption = False,
    cache: CacheOption = None,
    trust: TrustOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only the result.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Search a few problems and extrapolate: what the whole stage will take, and how much of it is solved.

    Builds what the stage reads first. The trees count: a build of the same spec takes them from the store.
    """
    _, graph, stage = read_target(target, sets, profile)
    place = open_store(store)
    options = BuildOptions(locked=locked, use_imports=not no_import, caches=open_caches(cache), trust=trust)
    quiet = quiet or as_json
    found = run_probe(graph, place, options, lambda _, planned: open_view(planned, quiet=quiet), stage, count)
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found, target)
    if found.failure:
        raise typer.Exit(1)


def _as_json(found: Probe) -> dict[str, Any]:
    return {
        "ok": not found.failure,
        "name": found.planned.node.name,
        "key": found.planned.key,
        "status": str(found.planned.status),
        "failure": found.failure or None,
        "estimate": found.estimate.as_json() if found.estimate else None,
    }


def _print(found: Probe, target: str) -> None:
    if found.failure:
        print(f"the probe failed: {found.failure}")
    if found.estimate:
        print(f"{found.planned.node.name}, the rest: {takes([found.estimate])}")
    elif not found.failure:
        print(f"{found.planned.node.name} is built already; `{command_line('show', target)}` has its figures")


COMMANDS = (probe,)
