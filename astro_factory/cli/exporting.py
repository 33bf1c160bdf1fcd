"""`export-training`: a stage's data and settings for another trainer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astro_factory.cli.options import (
    JsonOption,
    ProfileOption,
    SetOption,
    StoreOption,
    not_built,
    open_store,
    print_json,
    read_target,
)
from astro_factory.plan import make_plan
from astro_factory.plan.locks import locked_commits

if TYPE_CHECKING:
    from astro_factory.exporting.folder import ExportFolder


def export_training(
    target: Annotated[
        str, typer.Argument(metavar="SPEC:STAGE", help="An sft or grpo stage of a spec.", show_default=False)
    ],
    to: Annotated[str, typer.Option("--to", metavar="TRAINER", help="axolotl, prime-rl or verl.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder.", show_default=False)],
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the dataset and the config with which another trainer runs a stage, and list what it will do otherwise.

    The stage's data or problems must be built; the model need not be.
    """
    from astro_factory.exporting import export_stage
    from astro_factory.exporting.source import Source

    spec, graph, stage = read_target(target, sets, profile)
    place, commits = open_store(store), locked_commits(graph)
    nodes = make_plan(graph, place, targets=[stage], commits=commits).nodes
    built = {
        name: place.output(item.result)
        for name, item in nodes.items()
        if name != stage and item.result and place.has_blobs(item.result)
    }
    source = Source(str(spec), stage, graph, built, commits, lambda name: not_built(name, spec, place, nodes[name]))
    export = export_stage(to, source, out)
    if as_json:
        print_json(export.as_json())
    else:
        _print(export, out)


def _print(export: "ExportFolder", out: Path) -> None:
    differences = export.translation.differences
    print(f"{out}: {export.rows:,} rows and a config for {export.trainer} (checked with {export.versions})")
    print("differences:")
    for found in differences:
        value = "" if found.value is None else f" ({found.value})"
        print(f"  {found.setting}{value}: {found.text}")
    for note in export.notes:
        print(f"note: {note}")
    print(f"next, in {out}:")
    for command in export.commands:
        print(f"  {command}")


COMMANDS = (export_training,)
