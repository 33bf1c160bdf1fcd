"""`publish`, `pull`, `withdraw`, `init`: what leaves the store, and what comes from elsewhere."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from astro_factory.cli.building import execute
from astro_factory.cli.options import (
    CacheOption,
    JobsOption,
    JsonOption,
    NoImportOption,
    ProfileOption,
    SetOption,
    SpecArgument,
    StoreOption,
    TrustOption,
    open_caches,
    open_store,
    print_json,
    read_graph,
)
from astro_factory.core.errors import UserError, near
from astro_factory.runtime import BuildOptions


def publish(
    spec: SpecArgument,
    names: Annotated[
        list[str] | None, typer.Argument(help="Entries of `publish:`. Default: all.", show_default=False)
    ] = None,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    jobs: JobsOption = None,
    no_import: NoImportOption = False,
    cache: CacheOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build what is missing and publish the entries of `publish:`."""
    graph = read_graph(spec, sets, profile)
    offered = {name.removeprefix("publish."): name for name, node in graph.nodes.items() if node.section == "publish"}
    if not offered:
        raise UserError.of("E153", f"{spec} publishes nothing", "add a `publish:` section")
    for name in names or ():
        if name not in offered:
            raise UserError.of("E153", f"{spec} has no entry '{name}' under publish", near(name, offered))
    targets = [offered[name] for name in names or offered]
    options = BuildOptions(jobs=jobs, use_imports=not no_import, caches=open_caches(cache), trust=trust)
    execute(graph, open_store(store), spec, options, targets=targets, as_json=as_json)


def pull(
    source: Annotated[str, typer.Argument(help="org/name, hub:org/name@revision or file:PATH.", show_default=False)],
    target: Annotated[
        Path | None, typer.Argument(help="Folder to write. Default: the repository's name.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Download a published dataset or model with its records, and verify every file."""
    from astro_factory.hub.pull import pull as fetch

    name = source if source.startswith("file:") else source.partition("@")[0]
    found = fetch(source, target or Path(Path(name.removeprefix("file:")).name))
    if as_json:
        print_json(found.as_json())
        return
    news = "checked" if found.changed else "up to date"
    print(f"{found.source}: {len(found.files)} files, {news}, in {found.target}")
    if found.notice:
        print(f"warning: {found.notice}", file=sys.stderr)


def withdraw(
    place: Annotated[
        str, typer.Argument(help="org/name, models/org/name, datasets/org/name or file:PATH.", show_default=False)
    ],
    reason: Annotated[
        str, typer.Option("--reason", help="Why, in one sentence for the card.", show_default=False)
    ] = "",
    replaced_by: Annotated[
        str, typer.Option("--replaced-by", help="The publication to use instead.", show_default=False)
    ] = "",
    delete_files: Annotated[
        bool, typer.Option("--delete-files", help="Delete everything but the card and the manifest.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Remove the notice again; deleted files stay deleted.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Withdraw a publication: its card says so, and `pull` and `--cache` refuse it. One commit."""
    from astro_factory.hub.withdrawal import withdraw as mark

    found = mark(place, reason, replaced_by, delete_files=delete_files, undo=undo)
    if as_json:
        print_json(found.as_json())
        return
    done = "the notice is removed" if undo else "withdrawn"
    print(f"{found.place}: {done} in commit {found.commit[:12]}")


def init(
    folder: Annotated[Path, typer.Argument(help="A new folder.", show_default=False)], as_json: JsonOption = False
) -> None:
    """Create a workspace with the shipped specs and templates."""
    from astro_factory.core.shipped import make_workspace

    written = make_workspace(folder)
    if as_json:
        print_json({"folder": str(folder), "files": [str(path.relative_to(folder)) for path in written]})
        return
    print(f"{folder}: {len(written)} files; start with {folder / 'specs' / 'my_problems.yaml'}")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    print(f"next: {enter}astro-factory build specs/my_problems.yaml --profile smoke")


COMMANDS = (publish, pull, withdraw, init)
