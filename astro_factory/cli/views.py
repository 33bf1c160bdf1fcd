"""What `show` prints of a built stage: a summary, some rows, one row, one problem."""

from pathlib import Path
from typing import TYPE_CHECKING

from astro_factory.cli.options import command_line, print_json
from astro_factory.cli.rows import find_row, print_facts, print_row, print_rows, rows_of_problem
from astro_factory.cli.trees import print_tree
from astro_factory.core.artifacts import ArtifactType
from astro_factory.report import BuiltSpec, BuiltStage

if TYPE_CHECKING:
    from rich.console import Console

    from astro_factory.report.filters import Row

_IN_FULL = 2


def show_summary(spec: BuiltSpec, stage: BuiltStage, target: str, as_json: bool, everything: bool = False) -> None:
    """Figures, sparklines, examples, files, key and provenance; with `everything` all tables of a report."""
    from astro_factory.report.summaries import summary_of

    summary, provenance = summary_of(stage), stage.result.provenance
    if as_json:
        found = {"stage": stage.name, "kind": stage.node.kind, "key": stage.result.key, "path": str(stage.folder)}
        print_json(found | {"summary": summary.facts, "files": stage.result.outputs, "provenance": provenance})
        return
    console, seconds = _console(), provenance.get("seconds", "?")
    print(f"{stage.name} ({stage.node.kind}), key {stage.result.key[:16]}, made in {seconds} s\n{stage.folder}")
    for name, entry in stage.result.outputs.items():
        print(f"  {entry['size']:>12,} {name}")
    print_facts(console, summary.facts, summary.sparklines)
    if "report.json" in stage.result.outputs:
        _print_report(console, stage.folder, everything)
    if summary.rows:
        print_rows(console, summary.rows)
    for number in summary.examples:
        print_row(console, spec, stage, find_row(stage, number))
    if summary.next:
        print(f"look closer: {command_line('show', target)} {summary.next}")


def show_rows(stage: BuiltStage, conditions: str, as_json: bool) -> None:
    """The rows that meet a filter, a line each. Raises `UserError` E165, E167."""
    from astro_factory.report.filters import parse_filter
    from astro_factory.report.rows import filter_rows, row_keys

    rows = filter_rows(stage, parse_filter(conditions, row_keys(stage)))
    if as_json:
        print_json({"stage": stage.name, "rows": [_plain(row) for row in rows]})
        return
    console = _console()
    print_rows(console, rows, "; --json lists them all")
    console.print(f"{len(rows):,} rows; --sample N prints one in full", highlight=False)


def show_sample(spec: BuiltSpec, stage: BuiltStage, number: int, as_json: bool) -> None:
    """One row in full. Raises `UserError` E167."""
    from astro_factory.report.rows import full_row

    row = find_row(stage, number)
    if as_json:
        print_json({"stage": stage.name, "row": _plain(row), "content": full_row(stage, number)})
    elif stage.node.output is ArtifactType.TREES:
        print_tree(stage.folder, str(row["problem"]), False)
    else:
        print_row(_console(), spec, stage, row)


def show_problem(spec: BuiltSpec, stage: BuiltStage, problem: str, as_json: bool) -> None:
    """The rows of a problem, the first of them in full. Raises `UserError` E167."""
    rows = rows_of_problem(stage, problem)
    if as_json:
        print_json({"stage": stage.name, "problem": problem, "rows": [_plain(row) for row in rows]})
    elif stage.node.output is ArtifactType.TREES:
        print_tree(stage.folder, problem, False)
    else:
        console = _console()
        if len(rows) > 1:
            print_rows(console, rows)
        for row in rows[:_IN_FULL]:
            print_row(console, spec, stage, row)


def _plain(row: "Row") -> dict[str, object]:
    """A row for JSON, which knows no sets."""
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in row.items()}


def _print_report(console: "Console", folder: Path, everything: bool) -> None:
    from astro_factory.evaluation.analysis_table import analysis_table
    from astro_factory.evaluation.report_schema import Analysis, Report
    from astro_factory.evaluation.report_tables import comparison_table, headline_table

    report = Report.read(folder)
    if not everything:
        console.print(headline_table(report))
        return
    console.print(comparison_table(report))
    if (folder / Analysis.file_name).exists():  # results of earlier versions have none
        console.print(analysis_table(Analysis.read(folder)))


def _console() -> "Console":
    from rich.console import Console

    return Console()
