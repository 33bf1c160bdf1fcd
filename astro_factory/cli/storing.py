"""`export`, `import`, `push`, `gc`, `fsck`: what is in the store, and what leaves it as it is."""

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
    not_built,
    open_store,
    print_json,
    read_graph,
    read_target,
)
from astro_factory.core.errors import UserError
from astro_factory.plan import make_plan
from astro_factory.plan.locks import locked_commits
from astro_factory.store.disk_errors import disk_errors_explained
from astro_factory.store.store import GRACE_DAYS, KEEP_LAST

if TYPE_CHECKING:
    from astro_factory.store.fsck import Fault, FsckReport


def export(
    target: Annotated[str, typer.Argument(metavar="SPEC:STAGE", help="A built stage.", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The tar file to write.", show_default=False)],
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a stage's output and all records behind it to one file, for `imports:` of a spec."""
    from astro_factory.store.exports import write_export

    spec, graph, stage = read_target(target, sets, profile)
    place = open_store(store)
    with disk_errors_explained(file.parent), place.gc_paused():
        planned = make_plan(graph, place, targets=[stage], commits=locked_commits(graph), use_imports=False)
        results = {name: item.result for name, item in planned.nodes.items() if item.result}
        if missing := [name for name in planned.nodes if name not in results]:
            raise not_built(missing[0], spec, place, planned.nodes[missing[0]])
        size = write_export(place, file, [results.pop(stage)], results.values())
    if as_json:
        print_json({"file": str(file), "bytes": size})
    else:
        print(f"{file}: {size:,} bytes")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A store export.", show_default=False)],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import the finished stages of a store export, verifying every file."""
    from astro_factory.stages.validation import output_fault
    from astro_factory.store.exports import Export
    from astro_factory.store.transfer import import_result

    place, export = open_store(store), Export(file)
    with disk_errors_explained(place.root), place.building():
        results = export.results().values()
        whole = [result for result in results if export.has_blobs(result)]
        for result in results:
            import_result(place, export, result, output_fault, with_files=result in whole)
    if as_json:
        print_json({"results": len(results), "with_files": len(whole)})
    else:
        print(f"{file}: {len(results)} results, {len(whole)} with their files")


def push(
    spec: SpecArgument,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to write: file:, s3: or hf:.", show_default=False)],
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    sweep: SweepOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the finished stages of a spec to another store, for `build --cache`."""
    from astro_factory.store.remotes import RemoteStore

    graph, place, remote = read_graph(spec, sets, profile, sweep), open_store(store), RemoteStore(url)
    with place.building():
        planned = make_plan(graph, place, commits=locked_commits(graph), use_imports=False)
        # a publication is of no use in another store
        results = [item.result for item in planned.nodes.values() if item.result and item.node.section != "publish"]
        if not results:
            raise UserError.of(
                "E176", f"nothing of {spec} is built in this store", f"run `{command_line('build', spec)}`"
            )
        pushed = remote.push(place, results)
    if as_json:
        print_json(pushed.as_json())
    else:
        print(
            f"{url}: {pushed.new_results} of {pushed.results} results were new, "
            f"with {pushed.new_blobs} files ({pushed.bytes:,} bytes)"
        )


def gc(
    store: StoreOption = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without this option, only report.")] = False,
    grace_days: Annotated[
        float, typer.Option(min=0, help="Keep what was created or used in the last N days.")
    ] = GRACE_DAYS,
    keep_last: Annotated[
        int, typer.Option(min=1, max=KEEP_LAST, help="Keep the last N versions of each stage of each spec.")
    ] = KEEP_LAST,
    as_json: JsonOption = False,
) -> None:
    """Show, or delete, what is no longer needed in the store."""
    from astro_factory.store.gc import gc as collect

    found = collect(open_store(store), grace_days=grace_days, keep_last=keep_last, delete=delete)
    if as_json:
        print_json(found.as_json())
        return
    print(f"{'':<10}{'kept':>10}{'deleted' if delete else 'not needed':>12}{'bytes':>20}")
    for name, tally in found.folders.items():
        if tally.kept or tally.collected:
            print(f"{name:<10}{tally.kept:>10,}{tally.collected:>12,}{tally.bytes:>20,}")
    if found.builds:
        print("a build is running: everything created or used since it started is kept")
    if found.bytes and not delete:
        print("nothing was deleted; run `astro-factory gc --delete`")


def fsck(
    store: StoreOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Move damaged files out of the way.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Verify the digests of the whole store. Exits with 1 if damage remains."""
    from astro_factory.stages.validation import output_fault
    from astro_factory.store.fsck import fsck as check_store

    checked = check_store(open_store(store), output_fault, repair=repair)
    if as_json:
        print_json(checked.as_json())
    else:
        _print_checked(checked)
    if not checked.ok:
        raise typer.Exit(1)


def _print_checked(checked: "FsckReport") -> None:
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
        print("run `astro-factory fsck --repair`, then build to recreate what was damaged")


def _print_fault(word: str, found: "Fault") -> None:
    healed = f"; {found.healed}" if found.healed else ""
    print(f"{word}: {found.kind} {found.path}: {found.cause}{healed}")


COMMANDS = (export, import_, push, gc, fsck)
