"""`sweep`: build all variants of a sweep and compare them."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astro_factory.cli.building import KeepGoingOption, made
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
    TrustOption,
    open_caches,
    open_store,
    print_json,
    read_graph,
    spending_of,
)
from astro_factory.cli.sweep_rounds import Rounds, evaluation_of
from astro_factory.cli.sweep_tables import FILES, print_table, rung_text, write_files
from astro_factory.core.errors import UserError
from astro_factory.core.graph import Graph
from astro_factory.runtime import BuildOptions
from astro_factory.spec.compose import load
from astro_factory.spec.sweeps import Sweep

if TYPE_CHECKING:
    from astro_factory.evaluation.variants import VariantRow


def sweep(
    spec: SpecArgument,
    name: Annotated[
        str | None, typer.Option("--name", help="The sweep. Default: the only one.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the tables. Default: out/SPEC-SWEEP.", show_default=False),
    ] = None,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    locked: LockedOption = False,
    jobs: JobsOption = None,
    max_tokens: MaxTokensOption = None,
    max_hours: MaxHoursOption = None,
    max_gpu_hours: MaxGpuHoursOption = None,
    keep_going: KeepGoingOption = True,
    no_import: NoImportOption = False,
    cache: CacheOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build all variants of a sweep, shared stages only once, and compare them with the baseline."""
    name = name or _only_one(load(spec).data.get("sweeps") or {}, spec)
    graph = read_graph(spec, sets, profile, name)
    definition = graph.sweep
    assert isinstance(definition, Sweep)
    stage = _compared(graph, definition.compare, f"the sweep '{name}' of {spec}")
    place = open_store(store)
    options = BuildOptions(
        jobs=jobs,
        keep_going=keep_going,
        locked=locked,
        use_imports=not no_import,
        caches=open_caches(cache),
        spending=spending_of(max_tokens, max_hours, max_gpu_hours),
        trust=trust,
    )

    def build(targets: list[str] | None) -> dict[str, Any]:
        return made(graph, place, options, targets=targets, quiet=as_json)

    halving = definition.halving
    if halving is None:
        found, rungs = build(None), []
    else:
        rounds = Rounds(graph, stage, halving, f"the sweep '{name}' of {spec}")
        found, rungs = rounds.built(build, keep_going, lambda rung: None if as_json else print(rung_text(rung)))
    folder = out or Path("out") / f"{graph.name}-{name}"
    table = _table(graph, name, stage, found, rungs)
    write_files(folder, table)
    if as_json:
        print_json(table | {"files": [str(folder / file) for file in FILES]})
    else:
        print_table(table, folder)
    if not found["ok"]:
        raise typer.Exit(1)


def _table(
    graph: Graph, name: str, stage: str, found: Mapping[str, Any], rungs: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    searches = Counter(item["outcome"] for item in found["stages"] if item["kind"] == "search")
    return {
        "spec": graph.name,
        "sweep": name,
        "compared": stage,
        "searches_run": searches["ran"],
        "searches_there": searches["hit"] + searches["import"],
        "failures": found["failures"],
        "halving": list(rungs),
        "rows": _rows(graph, found, stage, rungs),
    }


def _only_one(sweeps: Collection[str], spec: Path) -> str:
    if len(sweeps) != 1:
        remedy = f"choose with --name: {', '.join(sweeps)}" if sweeps else "write one under `sweeps:`"
        raise UserError.of("E162", f"{spec} has {len(sweeps) or 'no'} sweeps", remedy)
    return next(iter(sweeps))


def _compared(graph: Graph, asked: str | None, where: str) -> str:
    """The name in the spec of the evaluation that compares the variants. Raises `UserError` E163."""
    kinds = {stage: graph.nodes[node].kind for stage, node in graph.variants[0].nodes.items()}
    found = [asked] if asked else [stage for stage, kind in kinds.items() if kind == "evaluate"]
    if len(found) != 1 or kinds.get(found[0]) != "evaluate":
        cause = f"{where} does not name a single evaluation to compare"
        raise UserError.of("E163", cause, "write `compare:` with the name of an `evaluate` stage")
    return found[0]


def _rows(graph: Graph, found: Mapping[str, Any], stage: str, rungs: Sequence[Mapping[str, Any]]) -> "list[VariantRow]":
    """The comparison of the variants that were built; empty if the baseline was not."""
    from astro_factory.evaluation.variant_samples import built_variants
    from astro_factory.evaluation.variants import compare

    config = evaluation_of(graph, stage)
    variants = [variant for variant in built_variants(graph, found, stage) if variant.repetitions]
    if sum(variant.baseline for variant in variants) != 1:
        return []
    rows = compare(variants, config.suite.metrics, config.suite.samples)
    if rungs:
        for row in rows:
            ends = [rung["seeds"] for rung in rungs if row["settings"] in rung["dropped"]]
            row["dropped_after"] = ends[0] if ends else None
    return rows


COMMANDS = (sweep,)
