"""Options shared by several commands, and helpers to use them.

Imports that only some commands need are inside functions, so that `check` loads neither the store nor the runtime.
"""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astro_factory.core.errors import UserError, near
from astro_factory.core.graph import Graph
from astro_factory.spec import compile_spec

if TYPE_CHECKING:
    from astro_factory.core.plans import PlannedNode
    from astro_factory.core.results import Result
    from astro_factory.runtime.spending import Spending
    from astro_factory.store import Store
    from astro_factory.store.caches import Cache

SpecArgument = Annotated[Path, typer.Argument(metavar="SPEC", help="The spec, a YAML file.", show_default=False)]
StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Folder of the store. Default: $ASTRO_STORE, else .astro.", show_default=False),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B.C=VALUE", help="Override a value; may be repeated.")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="Apply a profile of the spec.", show_default=False)
]
SweepOption = Annotated[
    str | None, typer.Option("--sweep", help="Use all variants of this sweep, in one graph.", show_default=False)
]
LockedOption = Annotated[bool, typer.Option("--locked", help="Fail if anything differs from the lock file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CacheOption = Annotated[
    list[str] | None,
    typer.Option(
        "--cache",
        metavar="URL",
        envvar="ASTRO_CACHE",
        help="Reuse stages from a store or publication you trust (file:, s3:, hf:, hub:); may be repeated.",
        show_envvar=False,
        show_default=False,
    ),
]
MachineOption = Annotated[
    str | None,
    typer.Option(
        "--machine",
        metavar="[NODESx]GPUSxNAME-GB",
        help="Predict for this machine instead of the one here, such as 8xH100-80GB.",
        show_default=False,
    ),
]
MaxTokensOption = Annotated[
    int | None,
    typer.Option("--max-tokens", min=1, help="Stop after so many sampled and trained tokens.", show_default=False),
]
MaxHoursOption = Annotated[
    float | None, typer.Option("--max-hours", min=0, help="Stop after so many hours.", show_default=False)
]
MaxGpuHoursOption = Annotated[
    float | None, typer.Option("--max-gpu-hours", min=0, help="Stop after so many GPU-hours.", show_default=False)
]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Cores to use. Default: all.", show_default=False)
]
TrustOption = Annotated[
    bool, typer.Option("--trust", help="Run the Python code that a pulled publication names. Read it first.")
]
NoImportOption = Annotated[bool, typer.Option("--no-import", help="Ignore the store exports under `imports:`.")]


_KEPT_OPTIONS = ("--profile", "--set", "--store", "--sweep", "--no-import")


def command_line(command: str, *arguments: object) -> str:
    """A command for the user to run next, with the options of this run that decide what it finds."""
    given, kept = sys.argv[2:], []
    for position, word in enumerate(given):
        name, equals, _ = word.partition("=")
        if name in _KEPT_OPTIONS:
            kept.append(word)
            if not equals and name != "--no-import":
                kept += given[position + 1 : position + 2]
        elif name == "--trust" and command == "build":
            kept.append(word)
    return shlex.join(["astro-factory", command, *map(str, arguments), *kept])


def open_store(folder: Path | None) -> "Store":
    from astro_factory.store.store import open_store

    return open_store((folder or Path(os.environ.get("ASTRO_STORE") or ".astro")).absolute())


def spending_of(tokens: int | None, hours: float | None, gpu_hours: float | None) -> "Spending | None":
    """The spend limit of this run of the program, None without any."""
    if tokens is None and hours is None and gpu_hours is None:
        return None
    from astro_factory.runtime.spending import Spending, SpendLimit

    return Spending(SpendLimit(tokens=tokens, hours=hours, gpu_hours=gpu_hours))


def open_caches(urls: Sequence[str] | None) -> "list[Cache]":
    """The caches at these URLs; their problems are printed to stderr. Raises `UserError` E171, E172."""
    if not urls:
        return []
    from astro_factory.hub.publication_cache import open_cache
    from astro_factory.store.caches import Cache

    return [Cache(open_cache(url), lambda text: print(f"warning: {text}", file=sys.stderr)) for url in urls]


def read_graph(spec: Path, sets: Sequence[str] | None, profile: str | None, sweep: str | None = None) -> Graph:
    return compile_spec(spec, sets=sets or (), profile=profile, sweep=sweep)


def read_target(
    target: str, sets: Sequence[str] | None, profile: str | None, sweep: str | None = None
) -> tuple[Path, Graph, str]:
    """Path, compiled graph and stage of `SPEC:STAGE`. Raises `UserError` E150, E151."""
    spec, _, stage = target.rpartition(":")
    if not spec:
        raise UserError.of("E150", f"'{target}' names no stage", "write SPEC:STAGE, as in specs/quickstart.yaml:report")
    graph = read_graph(Path(spec), sets, profile, sweep)
    known_stage(graph, stage, Path(spec))
    return Path(spec), graph, stage


def known_stage(graph: Graph, stage: str, spec: Path) -> None:
    """Raises `UserError` E151 if the spec has no such stage."""
    if stage not in graph.nodes:
        raise UserError.of("E151", f"'{spec}' has no stage '{stage}'", near(stage, graph.nodes))


def built_results(
    graph: Graph, spec: Path, store: "Store", stage: str, others: Sequence[str] = ()
) -> dict[str, "Result"]:
    """The results of a stage and of some of its inputs, with their files. Raises `UserError` E152."""
    from astro_factory.plan import make_plan
    from astro_factory.plan.locks import locked_commits

    nodes = make_plan(graph, store, targets=[stage], commits=locked_commits(graph)).nodes
    found: dict[str, Result] = {}
    for name in (stage, *others):
        result = nodes[name].result
        if result is None or not store.has_blobs(result):
            raise not_built(name, spec, store, nodes[name])
        found[name] = result
    return found


def not_built(stage: str, spec: Path, store: "Store", item: "PlannedNode") -> UserError:
    """The error of a command that needs a stage's result. It names the log of a failed run."""
    from astro_factory.runtime.node_execution import log_path

    remedy = f"run `{command_line('build', spec)}`"
    if item.key and (log := log_path(store, item.key)).exists() and log.stat().st_size:
        remedy += f"; the log of its last run is {log}"
    return UserError.of("E152", f"'{stage}' is not built in this store", remedy)


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))
