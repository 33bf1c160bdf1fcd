"""`report`: one HTML file to look at what was built."""

from pathlib import Path
from typing import Annotated

import typer

from astro_factory.cli.options import (
    JsonOption,
    ProfileOption,
    SetOption,
    SpecArgument,
    StoreOption,
    SweepOption,
    command_line,
    known_stage,
    open_store,
    print_json,
    read_graph,
)
from astro_factory.core.errors import UserError
from astro_factory.store.disk_errors import disk_errors_explained


def report(
    spec: SpecArgument,
    stages: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STAGE]...", help="Stages to show, with what they need. Default: all."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write. Default: NAME.html.", show_default=False)
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    sweep: SweepOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one HTML file with pipeline, comparison, samples, trees, training curves and data."""
    from astro_factory.plan import make_plan
    from astro_factory.plan.locks import locked_commits
    from astro_factory.report import built_spec
    from astro_factory.report.page import write_report

    graph, place = read_graph(spec, sets, profile, sweep), open_store(store)
    for name in stages or ():
        known_stage(graph, name, spec)
    path = out or Path(f"{graph.name}-{sweep}.html" if sweep else f"{graph.name}.html")
    with disk_errors_explained(path), place.gc_paused():
        plan = make_plan(graph, place, targets=stages or None, commits=locked_commits(graph))
        built = built_spec(plan, place)
        if not built.stages:
            cause = f"nothing of '{spec}' is built in this store, so there is nothing to show"
            raise UserError.of("E166", cause, f"run `{command_line('build', spec)}`, or name the store with --store")
        notes = write_report(built, path)
    size = path.stat().st_size
    if as_json:
        print_json({"path": str(path), "bytes": size, "stages": list(built.stages), "notes": notes})
    else:
        print(f"{path}: {size / 1e6:.1f} MB, {len(built.stages)} of {len(plan.nodes)} stages")
        for note in notes:
            print(note)
    if open_:
        typer.launch(path.absolute().as_uri())


COMMANDS = (report,)
