"""`preview`: what a model would see and what training would learn, before a build."""

from typing import TYPE_CHECKING, Annotated

import typer

from astro_factory.cli.options import (
    JsonOption,
    ProfileOption,
    SetOption,
    SpecArgument,
    StoreOption,
    known_stage,
    open_store,
    print_json,
    read_graph,
)
from astro_factory.cli.rows import print_segments, visible
from astro_factory.plan import make_plan
from astro_factory.plan.locks import locked_commits
from astro_factory.report import built_spec

if TYPE_CHECKING:
    from rich.console import Console

    from astro_factory.report.preview import Preview

_IDS = 24


def preview(
    spec: SpecArgument,
    stages: Annotated[
        list[str] | None, typer.Argument(metavar="[STAGE]...", help="Stages to preview. Default: all.")
    ] = None,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the first prompt or text of each stage as text and tokens, and what training learns; loads no weights."""
    from astro_factory.report.preview import previews

    graph, place = read_graph(spec, sets, profile), open_store(store)
    for name in stages or ():
        known_stage(graph, name, spec)
    plan = make_plan(graph, place, targets=stages or None, commits=locked_commits(graph))
    found = [entry for entry in previews(built_spec(plan, place)) if not stages or entry.stage in stages]
    if as_json:
        print_json({"stages": [entry.as_json() for entry in found]})
        return
    from rich.console import Console

    console = Console()
    for entry in found:
        _print(console, entry)


def _print(console: "Console", entry: "Preview") -> None:
    from rich.text import Text

    from astro_factory.report.preview import learned_spans

    console.rule(f"{entry.stage} ({entry.kind}): {entry.what}", align="left", style="dim")
    for note in entry.notes:
        console.print(f"note: {note}", style="dim", markup=False, highlight=False)
    if entry.pieces:
        for message in entry.messages[:-1]:
            console.print(visible(message["content"]), style="bold", markup=False, highlight=False)
        print_segments(console, entry.pieces)
    elif entry.mask is not None and entry.tokens is not None:
        spans = learned_spans(entry.tokens, entry.mask)
        console.print(Text.assemble(*((visible(text), "green" if learned else "dim") for text, learned in spans)))
        console.print(f"green is learned: {sum(entry.mask)} of {len(entry.mask)} tokens", style="dim", highlight=False)
    elif entry.tokens is not None:
        styles = ("", "reverse")
        console.print(Text.assemble(*((visible(text), styles[n % 2]) for n, text in enumerate(entry.tokens))))
    else:
        console.print(visible(entry.text), markup=False, highlight=False)
    if entry.prompt_ids is not None:
        shown, more = entry.prompt_ids[:_IDS], len(entry.prompt_ids) - _IDS
        ids = " ".join(map(str, shown)) + (f" … {more} more" if more > 0 else "")
        console.print(f"{len(entry.prompt_ids)} ids: {ids}", style="dim", highlight=False)


COMMANDS = (preview,)
