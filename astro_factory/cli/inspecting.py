"""`show`: look at what was built."""

import sys
from pathlib import Path
from typing import Annotated

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
from astro_factory.cli.trees import print_tree
from astro_factory.core.errors import UserError
from astro_factory.plan import make_plan
from astro_factory.plan.locks import locked_commits
from astro_factory.runtime.node_execution import last_log


def show(
    target: Annotated[str, typer.Argument(metavar="SPEC:STAGE", help="A stage of a spec.", show_default=False)],
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    path: Annotated[bool, typer.Option("--path", help="Print only the folder of the output.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Print the log of its last run, also of one that failed.")] = False,
    tree: Annotated[
        str | None, typer.Option("--tree", metavar="ID", help="Print the search tree of this problem.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a stage's output: its files, its key, how it was made."""
    spec, graph, stage = read_target(target, sets, profile)
    place = open_store(store)
    item = make_plan(graph, place, targets=[stage], commits=locked_commits(graph)).nodes[stage]
    if log:
        _show_log(stage, spec, last_log(place, graph.name, item), as_json)
        return
    if item.result is None or not place.has_blobs(item.result):
        raise not_built(stage, spec, place, item)
    folder = place.output(item.result)
    if path:
        print(folder)
        return
    if tree is not None:
        print_tree(folder, tree, as_json)
        return
    found = {
        "stage": stage,
        "kind": item.node.kind,
        "key": item.key,
        "path": str(folder),
        "files": item.result.outputs,
        "provenance": item.result.provenance,
    }
    if as_json:
        print_json(found)
        return
    seconds = item.result.provenance.get("seconds", "?")
    print(f"{stage} ({item.node.kind}), key {item.key[:16]}, made in {seconds} s\n{folder}")
    for name, entry in item.result.outputs.items():
        print(f"  {entry['size']:>12,} {name}")
    if "report.json" in item.result.outputs:
        _print_report(folder)


def _show_log(stage: str, spec: Path, log: Path | None, as_json: bool) -> None:
    if log is None:
        cause = f"'{stage}' has not run in this store, so it has no log"
        raise UserError.of("E156", cause, f"run `astro-factory build {spec}`")
    text = log.read_text(encoding="utf-8", errors="replace")
    if as_json:
        print_json({"stage": stage, "log": str(log), "text": text})
    elif text:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        print(f"'{stage}' ran and said nothing", file=sys.stderr)


def _print_report(folder: Path) -> None:
    from rich.console import Console

    from astro_factory.evaluation.analysis_table import analysis_table
    from astro_factory.evaluation.report_schema import Analysis, Report
    from astro_factory.evaluation.report_tables import comparison_table

    Console().print(comparison_table(Report.read(folder)))
    if (folder / Analysis.file_name).exists():  # results of earlier versions have none
        Console().print(analysis_table(Analysis.read(folder)))


COMMANDS = (show,)
