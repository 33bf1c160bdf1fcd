"""`sweep`: build all variants of a sweep and compare them."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astro_factory.cli.building import JobsOption, KeepGoingOption, made
from astro_factory.cli.options import (
    CacheOption,
    JsonOption,
    LockedOption,
    NoImportOption,
    ProfileOption,
    SetOption,
    SpecArgument,
    StoreOption,
    open_caches,
    open_store,
    print_json,
    read_graph,
)
from astro_factory.core.errors import UserError
from astro_factory.core.graph import Graph
from astro_factory.spec.compose import load

if TYPE_CHECKING:
    from astro_factory.evaluation.variants import VariantRuns

_SEED = "seed"


def sweep(
    spec: SpecArgument,
    name: Annotated[
        str | None, typer.Option("--name", help="The sweep [default: the only one].", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the tables [default: out/SPEC-SWEEP].", show_default=False),
    ] = None,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    locked: LockedOption = False,
    jobs: JobsOption = None,
    keep_going: KeepGoingOption = True,
    no_import: NoImportOption = False,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build all variants of a sweep, shared stages once, and compare each with the baseline."""
    sweeps = load(spec).data.get("sweeps") or {}
    name = name or _only_one(sweeps, spec)
    graph = read_graph(spec, sets, profile, name)
    stage = _compared(graph, sweeps[name].get("compare"), f"the sweep '{name}' of {spec}")
    found = made(
        graph,
        open_store(store),
        jobs=jobs,
        keep_going=keep_going,
        locked=locked,
        no_import=no_import,
        caches=open_caches(cache),
        quiet=as_json,
    )
    rows = _rows(graph, found, stage)
    folder = out or Path("out") / f"{graph.name}-{name}"
    searches = Counter(item["outcome"] for item in found["stages"] if item["kind"] == "search")
    table = {
        "spec": graph.name,
        "sweep": name,
        "compared": stage,
        "searches_run": searches["ran"],
        "searches_there": searches["hit"] + searches["import"],
        "failures": found["failures"],
        "rows": rows,
    }
    _write(folder, table)
    if as_json:
        print_json(table | {"files": [str(folder / file) for file in _FILES]})
    else:
        _print(table, folder)
    if not found["ok"]:
        raise typer.Exit(1)


_FILES = ("sweep.json", "sweep.parquet")


def _only_one(sweeps: Collection[str], spec: Path) -> str:
    if len(sweeps) != 1:
        remedy = f"choose with --name: {', '.join(sweeps)}" if sweeps else "write one under `sweeps:`"
        raise UserError.of("E162", f"{spec} has {len(sweeps) or 'no'} sweeps", remedy)
    return next(iter(sweeps))


def _compared(graph: Graph, asked: str | None, where: str) -> str:
    """The name in the spec of the evaluation that the variants are compared by."""
    kinds = {stage: graph.nodes[node].kind for stage, node in graph.variants[0].nodes.items()}
    found = [asked] if asked else [stage for stage, kind in kinds.items() if kind == "evaluate"]
    if len(found) != 1 or kinds.get(found[0]) != "evaluate":
        cause = f"{where} names no single evaluation to compare by"
        raise UserError.of("E163", cause, "write `compare:` with the name of an `evaluate` stage")
    return found[0]


def _rows(graph: Graph, found: Mapping[str, Any], stage: str) -> list[dict[str, Any]]:
    """The comparison of the variants that were built; empty where the baseline is not among them."""
    from astro_factory.evaluation.variants import compare

    paths = {item["name"]: Path(item["path"]) for item in found["stages"] if item["path"]}
    config: Any = graph.nodes[graph.variants[0].nodes[stage]].config
    variants = [variant for variant in _variants(graph, paths, stage) if variant.repetitions]
    if sum(variant.baseline for variant in variants) != 1:
        return []
    return compare(variants, config.suite.metrics, config.suite.samples, config.seed)


def _variants(graph: Graph, paths: Mapping[str, Path], stage: str) -> "list[VariantRuns]":
    """Variants with their repetitions: those that differ in nothing but seeds are one."""
    from astro_factory.core.tables import read_columns
    from astro_factory.evaluation.variants import SAMPLE_COLUMNS, Repetition, VariantRuns

    of_baseline = next(_settings(variant.settings) for variant in graph.variants if variant.baseline)
    variants: dict[str, VariantRuns] = {}
    for variant in graph.variants:
        settings, seed = _settings(variant.settings)
        entry = VariantRuns(settings, settings == of_baseline[0])
        entry = variants.setdefault(json.dumps(settings, sort_keys=True), entry)
        folder = paths.get(variant.nodes[stage])
        if folder is not None:
            samples = read_columns(folder / "samples.parquet", SAMPLE_COLUMNS)
            entry.repetitions.append(Repetition(seed, samples, _search_tokens(graph, variant.nodes, paths)))
    return list(variants.values())


def _settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """What makes a variant, and what makes a repetition of it."""
    seeds = {name: value for name, value in settings.items() if name.rpartition(".")[2] == _SEED}
    return {name: value for name, value in settings.items() if name not in seeds}, json.dumps(seeds, sort_keys=True)


def _search_tokens(graph: Graph, nodes: Mapping[str, str], paths: Mapping[str, Path]) -> int | None:
    searches = [node for node in set(nodes.values()) if graph.nodes[node].kind == "search" and node in paths]
    if not searches:
        return None
    return sum(json.loads((paths[node] / "statistics.json").read_text(encoding="utf-8"))["tokens"] for node in searches)


def _write(folder: Path, table: Mapping[str, Any]) -> None:
    """The table as JSON, and its rows as Parquet with a column for each setting and mean."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FILES[0]).write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    flat = []
    for row in table["rows"]:
        plain = {name: value for name, value in row.items() if name not in ("settings", "means")}
        settings = {name: json.dumps(value, ensure_ascii=False) for name, value in row["settings"].items()}
        flat.append(settings | plain | row["means"])
    names = dict.fromkeys(name for row in flat for name in row)
    pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in flat]), folder / _FILES[1])


def _print(table: Mapping[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    rows = table["rows"]
    if rows:
        metric = rows[0]["metric"]
        shown = Table(box=None, pad_edge=False)
        for title in ("variant", "arm", metric, "difference", "p (Holm)", "tokens an answer", "search tokens"):
            shown.add_column(title, overflow="fold")
        for row in rows:
            shown.add_row(*map(Text, _cells(row, metric)))
        console.print(shown)
        seeds = f"{rows[0]['seeds']} seeds" if rows[0]["seeds"] > 1 else "1 seed"
        console.print(f"{seeds}; intervals of 95% over problems and seeds", highlight=False)
    else:
        console.print("the baseline was not built, so there is nothing to compare with")
    console.print(f"searches: {table['searches_run']} run, {table['searches_there']} there already", highlight=False)
    for stage, cause in list(table["failures"].items())[:20]:
        console.print(f"{stage} failed: {cause}", markup=False, highlight=False, style="red", soft_wrap=True)
    for file in _FILES:
        console.print(f"  {folder / file}", highlight=False, soft_wrap=True)


def _cells(row: Mapping[str, Any], metric: str) -> list[str]:
    settings = ", ".join(f"{name}={_value(value)}" for name, value in row["settings"].items()) or "all"
    difference = p = ""
    if row["baseline"]:
        difference = "baseline"
    elif "difference" in row:
        difference = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        p = f"{row['p_holm']:.3f}"
    search = "" if row["search_tokens"] is None else f"{row['search_tokens']:,}"
    tokens = f"{row['means']['tokens[mean]']:.1f}"
    return [settings, row["arm"], f"{row['means'][metric]:.3f}", difference, p, tokens, search]


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


COMMANDS = (sweep,)
