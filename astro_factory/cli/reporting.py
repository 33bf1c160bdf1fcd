"""`report`: one HTML file to look at what was built."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from astro_factory.store.disk_errors import disk_errors_explained, no_access

if TYPE_CHECKING:
    from astro_factory.report import BuiltSpec


def report(
    spec: SpecArgument,
    stages: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STAGE]...", help="Stages to show, with what they need. Default: all."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The file or folder to write. Default: NAME.html or NAME-report.", show_default=False
        ),
    ] = None,
    folder: Annotated[
        bool, typer.Option("--folder", help="Write a folder that leaves nothing out; open its index.html.")
    ] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    sweep: SweepOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one HTML file with pipeline, comparison, samples, trees, votes, training curves and data."""
    from astro_factory.plan import make_plan
    from astro_factory.plan.locks import locked_commits
    from astro_factory.report import built_spec

    graph, place = read_graph(spec, sets, profile, sweep), open_store(store)
    for name in stages or ():
        known_stage(graph, name, spec)
    name = f"{graph.name}-{sweep}" if sweep else graph.name
    path = out or Path(f"{name}-report" if folder else f"{name}.html")
    with disk_errors_explained(path), place.gc_paused():
        plan = make_plan(graph, place, targets=stages or None, commits=locked_commits(graph))
        built = built_spec(plan, place)
        if not built.stages:
            cause = f"nothing of '{spec}' is built in this store, so there is nothing to show"
            raise UserError.of("E166", cause, f"run `{command_line('build', spec)}`, or name the store with --store")
        notes = _written(built, path, folder)
    opened = path / "index.html" if folder else path
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if folder else path.stat().st_size
    if as_json:
        print_json({"path": str(path), "bytes": size, "stages": list(built.stages), "notes": notes})
    else:
        print(f"{path}: {size / 1e6:.1f} MB, {len(built.stages)} of {len(plan.nodes)} stages")
        for note in notes:
            print(note)
        if notes:
            print("--folder writes a report that holds everything")
    if open_:
        typer.launch(opened.absolute().as_uri())


def _written(built: "BuiltSpec", path: Path, folder: bool) -> list[str]:
    """Write the report; returns what it leaves out. Raises `UserError` E179 where nothing can be written."""
    from astro_factory.report.folder import write_folder
    from astro_factory.report.page import write_report

    try:
        if folder:
            write_folder(built, path)
            return []
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_report(built, path)
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise no_access(error, "name another file with --out, or a folder with --folder and --out") from error


COMMANDS = (report,)
