"""`export` and `fsck`: what is in the store."""

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
    from astro_factory.store.fsck import Checked, Fault


def export(
    target: Annotated[str, typer.Argument(metavar="SPEC:STAGE", help="A built stage.", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The tar file to write.", show_default=False)],
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
) -> None:
    """Write a stage's output and the records behind it to one file that specs can name under `imports:`."""
    from astro_factory.store.exports import write_export

    spec, graph, stage = read_target(target, sets, profile)
    place = open_store(store)
    planned = make_plan(graph, place, targets=[stage], commits=locked_commits(graph), use_imports=False)
    results = {name: item.result for name, item in planned.nodes.items()}
    if missing := [name for name, result in results.items() if result is None]:
        raise not_built(missing[0], spec, place, planned.nodes[missing[0]])
    size = write_export(place, file, [results.pop(stage)], results.values())
    print(f"{file}: {size:,} bytes")


def fsck(
    store: StoreOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Take what is damaged out of the way.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read the whole store again and compare it with its digests; ends with 1 if something is wrong and stays so."""
    from astro_factory.store.fsck import fsck as check_store

    checked = check_store(open_store(store), repair=repair)
    if as_json:
        print_json(checked.as_json())
    else:
        _print_checked(checked)
    if not checked.ok:
        raise typer.Exit(1)


def _print_checked(checked: "Checked") -> None:
    for found in checked.faults:
        _print_fault("damaged", found)
    for found in checked.leftovers:
        _print_fault("left over", found)
    counts = checked.counts
    print(
        f"{counts['blobs']:,} blobs ({counts['bytes']:,} bytes), {counts['results']:,} results "
        f"({counts['without_files']:,} without their files), {counts['items']:,} items: {len(checked.faults)} damaged"
    )
    if not checked.ok:
        print("run `astro-factory fsck --repair`, then build: what was damaged is made again")


def _print_fault(word: str, found: "Fault") -> None:
    healed = f"; {found.healed}" if found.healed else ""
    print(f"{word}: {found.kind} {found.path}: {found.cause}{healed}")


COMMANDS = (export, fsck)
