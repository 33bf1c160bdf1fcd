"""Rows of an output in the terminal: a short table, or one row in full with its parts in colour."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.errors import UserError, near
from astro_factory.report import BuiltSpec, BuiltStage
from astro_factory.report.filters import Row
from astro_factory.report.rows import full_row, row_keys, rows_of
from astro_factory.report.samples import classified_pieces, questions_of
from astro_factory.report.votes import tree_of

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 20
_STYLES = {
    "reflect": "blue",
    "verdict": "blue",
    "words": "blue",
    "backtrack": "yellow",
    "jump": "yellow",
    "restart": "yellow",
    "unresolved": "red",
    "answer": "green",
}
_SIGNS = {
    "reflect": "?",
    "words": "?",
    "verdict": "!",
    "backtrack": "↩",
    "jump": "↩",
    "restart": "⟲",
    "unresolved": "⚠",
    "answer": "✓",
}
_HIDDEN = ("solved_by", "missed_by", "row", "source", "level", "verifier")
_NOT_LISTED = (*_HIDDEN, "dead_ends", "revisited", "unresolved")
_LONG = ("problem", "answer")
"""Columns that give way where the terminal is narrow."""


def print_rows(console: "Console", rows: Sequence[Row], more: str = "") -> None:
    """A line for each row, the first ones of many."""
    from rich.table import Table
    from rich.text import Text

    if not rows:
        console.print("no rows")
        return
    names = [name for name in rows[0] if name not in _NOT_LISTED]
    table = Table(box=None, pad_edge=False)
    for name in ("row", *names):
        numeric = isinstance(rows[0].get(name), int) and not isinstance(rows[0].get(name), bool)
        side = "right" if numeric else "left"
        table.add_column(
            name.replace("_", " "), justify=side, no_wrap=True, min_width=0 if name in _LONG else len(name)
        )
    for row in rows[:_SHOWN]:
        table.add_row(*(Text(_cell(row.get(name))) for name in ("row", *names)))
    console.print(table)
    if len(rows) > _SHOWN:
        console.print(f"and {len(rows) - _SHOWN:,} more{more}", highlight=False)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else visible(str(value))


def visible(text: str) -> str:
    """A text with its control characters escaped: what a model wrote must not steer the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else f"\\x{ord(sign):02x}" for sign in text)


def find_row(stage: BuiltStage, number: int) -> Row:
    """The row at a place of the table. Raises `UserError` E167."""
    rows = rows_of(stage)
    if not 0 <= number < len(rows):
        raise UserError.of("E167", f"'{stage.name}' has no row {number}", f"rows are numbered 0 to {len(rows) - 1}")
    return rows[number]


def rows_of_problem(stage: BuiltStage, problem: str) -> list[Row]:
    """The rows of one problem. Raises `UserError` E167."""
    row_keys(stage)
    rows = rows_of(stage)
    found = [row for row in rows if row["problem"] == problem]
    if not found:
        names = list(dict.fromkeys(str(row["problem"]) for row in rows))
        remedy = near(problem, names) if len(names) <= _SHOWN else f"problems are named like {', '.join(names[:3])}"
        raise UserError.of("E167", f"'{stage.name}' has no row of a problem '{problem}'", remedy)
    return found


def print_row(console: "Console", spec: BuiltSpec, stage: BuiltStage, row: Row) -> None:
    """One row in full."""
    full = full_row(stage, int(str(row["row"])))
    facts = [f"{name.replace('_', ' ')} {_cell(value)}" for name, value in row.items() if name not in _HIDDEN]
    console.rule(f"row {row['row']}", align="left", style="dim")
    if stage.node.output is not ArtifactType.PROBLEMS:
        console.print(", ".join(facts), markup=False, highlight=False)
    if stage.node.output is ArtifactType.TRACES:
        console.print(visible(full["messages"][-2]["content"]), style="bold", markup=False, highlight=False)
        pieces = [(segment["kind"], segment["text"]) for segment in full["segments"]]
    elif stage.node.output is ArtifactType.VOTES and (tree := tree_of(spec, stage, full["problem_id"])):
        console.print(visible(tree.problem.question), style="bold", markup=False, highlight=False)
        pieces = [("", tree.nodes[index].text) for index in tree.path(full["node"])]
        pieces += [("answer", closing)] if (closing := tree.nodes[full["node"]].closing) else []
    elif stage.node.output is ArtifactType.REPORT:
        question = questions_of(spec, stage).get((full["source"], full["problem"]), ("", "", ""))[0]
        console.print(visible(question), style="bold", markup=False, highlight=False)
        template = getattr(stage.node.config, "backtracks", None)
        steps = spec.steps_of(stage.name) if template else None
        pieces = classified_pieces(full["text"], question, template, steps, answers=bool(full["extracted"]))
    elif stage.node.output is ArtifactType.MODEL:
        template = getattr(stage.node.config, "template", None)
        pieces = classified_pieces(full["text"], "", template, spec.steps_of(stage.name) if template else None)
    else:
        pieces = [("", f"{name}: {value}") for name, value in full.items() if name not in ("nodes", "calls")]
    print_segments(console, pieces)


def print_segments(console: "Console", pieces: Iterable[tuple[str, str]]) -> None:
    """Kinds and texts of segments, a line each, in the colour and with the sign of their kind."""
    from rich.text import Text

    for kind, text in pieces:
        line = f"{_SIGNS.get(kind, ' ')} {visible(text)}"
        console.print(Text(line, style=_STYLES.get(kind, "")), soft_wrap=True)


def print_facts(console: "Console", facts: Mapping[str, object], sparklines: Mapping[str, str]) -> None:
    """A summary's figures, a line each."""
    names = list(dict.fromkeys((*facts, *sparklines)))
    width = max(map(len, names), default=0)
    for name in names:
        parts = [_fact(facts[name])] if name in facts else []
        parts += [sparklines[name]] if sparklines.get(name) else []
        console.print(f"  {name.replace('_', ' '):<{width}}  {'  '.join(parts)}", markup=False, highlight=False)


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_cell(count)}" for name, count in value.items())
    return f"{value:,.4g}" if isinstance(value, float) else _cell(value)
