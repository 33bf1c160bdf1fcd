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
    command_line,
    not_built,
    open_store,
    print_json,
    read_target,
)
from astro_factory.cli.trees import print_tree
from astro_factory.cli.views import show_problem, show_rows, show_sample, show_summary
from astro_factory.core.errors import UserError
from astro_factory.plan import make_plan
from astro_factory.plan.locks import locked_commits
from astro_factory.report import built_spec
from astro_factory.runtime.node_execution import last_log


def show(
    target: Annotated[str, typer.Argument(metavar="SPEC:STAGE", help="A stage of a spec.", show_default=False)],
    tree_of: Annotated[
        str | None, typer.Argument(metavar="ID", help="With --tree: the problem.", show_default=False)
    ] = None,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    path: Annotated[bool, typer.Option("--path", help="Print only the folder of the output.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Print the log of its last run, also of one that failed.")] = False,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", help="Print row N in full.", show_default=False)
    ] = None,
    problem: Annotated[
        str | None, typer.Option("--problem", metavar="ID", help="Print the rows of a problem.", show_default=False)
    ] = None,
    conditions: Annotated[
        str | None,
        typer.Option("--filter", metavar="KEY=VALUE,…", help="List rows; also KEY>N, KEY<N, KEY!=VALUE."),
    ] = None,
    tree: Annotated[
        bool, typer.Option("--tree", help="Print the search tree of problem ID, or list all trees.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="With a report: every metric with its interval, by level and source.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a stage's output: counts, statistics, examples, key and provenance; or its rows."""
    spec, graph, stage = read_target(target, sets, profile)
    place = open_store(store)
    plan = make_plan(graph, place, targets=[stage], commits=locked_commits(graph))
    item = plan.nodes[stage]
    if log:
        _show_log(stage, spec, last_log(place, graph.name, item), as_json)
        return
    if item.result is None or not place.has_blobs(item.result):
        raise not_built(stage, spec, place, item)
    if tree_of is not None and not tree:
        raise typer.BadParameter(f"'{tree_of}' needs --tree", param_hint="ID")
    whole = built_spec(plan, place)
    built = whole.stages[stage]
    if path:
        print(built.folder)
    elif tree and tree_of is not None:
        print_tree(built.folder, tree_of, as_json)
    elif sample is not None:
        show_sample(whole, built, sample, as_json)
    elif problem is not None:
        show_problem(whole, built, problem, as_json)
    elif conditions is not None or tree:
        show_rows(built, conditions or "", as_json)
    else:
        show_summary(whole, built, target, as_json, everything)


def _show_log(stage: str, spec: Path, log: Path | None, as_json: bool) -> None:
    if log is None:
        cause = f"'{stage}' has not run in this store, so it has no log"
        raise UserError.of("E156", cause, f"run `{command_line('build', spec)}`")
    text = log.read_text(encoding="utf-8", errors="replace")
    if as_json:
        print_json({"stage": stage, "log": str(log), "text": text})
    elif text:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        print(f"'{stage}' ran and said nothing", file=sys.stderr)


COMMANDS = (show,)
