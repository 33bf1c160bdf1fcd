"""A report for the eye: one line an arm, one column a metric, every value with its interval.

`comparison_table` draws with rich, `comparison_text` gives plain lines for files and pipes; both show the same cells.
`headline_table` is the short form: what a build leaves on the screen.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from astro_factory.evaluation.samples import MEASURES

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table
    from rich.text import Text

Report = Mapping[str, Any]

_VERDICTS = ("correct", "incorrect", "no_answer")
_DETAILS = ("[share]", *(f"{measure}[mean]" for measure in MEASURES if measure != "backtracks"))
"""How the names of metrics end that only the long form shows."""
_DIFFERENCES = "differences on the same problems"
ENOUGH_CLUSTERS = 30
"""From so many on, 95 of 100 intervals hold the truth; of 10 clusters it is 91, of 5 it is 87."""
_PADDING = 3
"""Columns of the console that a column of the table takes beside its text."""


class Grid(NamedTuple):
    """A table without its looks; cells may hold a line break."""

    title: str
    header: list[str]
    rows: list[list[str]]


def comparison_grids(report: Report) -> list[Grid]:
    """The tables of a report: arms, differences, the equal-token control, then arms by level and by source."""
    grids = [_arms(_title(report), report)]
    if report["paired"]:
        grids.append(_paired(report))
    if report["equal_tokens"]:
        grids.append(_equal_tokens(report))
    for part in ("levels", "sources"):
        for name, group in report[part].items():
            grids.append(_arms(f"{name or 'no ' + part[:-1]}: {_problems(group)}", group))
    return grids


def headline_grids(report: Report) -> list[Grid]:
    """Arms and differences, a line each: the suite's first metric with its interval, of the others the values."""
    first, *more = next(iter(report["arms"].values()))
    shown = [first, *(name for name in more if not name.endswith(_DETAILS))]
    rows = [
        [arm, _one_line(cell(values[first])), *(cell(values[name]).split("\n")[0] for name in shown[1:])]
        for arm, values in report["arms"].items()
    ]
    grids = [Grid(_title(report), ["arm", first, *(name.partition("[")[0] for name in shown[1:])], rows)]
    pairs = {f"{e['arm']} - {e['baseline']}": e for e in report["paired"] if e["metric"] == first}
    pairs |= {f"{e['arm']} - {e['baseline']}'s vote at equal tokens": e for e in report["equal_tokens"]}
    if pairs:
        cells = [[name, _one_line(cell(entry, "difference", signed=True))] for name, entry in pairs.items()]
        grids.append(Grid(_DIFFERENCES, ["pair", first], cells))
    return grids


def _one_line(cell: str) -> str:
    return cell.replace("\n", " ")


def comparison_table(report: Report) -> "GridTables":
    """The tables of a report for a rich console, with a line for each arm that could not be judged in full."""
    return GridTables(comparison_grids(report), cautions(report))


def headline_table(report: Report) -> "GridTables":
    """`headline_grids` for a rich console."""
    return GridTables(headline_grids(report), cautions(report))


class GridTables:
    """What `console.print` takes; a table too wide for the console goes on below under its first column."""

    def __init__(self, grids: Sequence[Grid], remarks: Sequence[str]):
        self._grids, self._remarks = grids, remarks

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Table | Text]":
        from rich import box
        from rich.table import Table
        from rich.text import Text

        for grid in self._grids:
            for number, part in enumerate(_parts(grid, options.max_width)):
                table = Table(title=None if number else Text(grid.title), title_justify="left", box=box.SIMPLE_HEAD)
                for index, name in enumerate(part.header):
                    table.add_column(Text(name), justify="right" if index else "left")
                for row in part.rows:
                    table.add_row(*map(Text, row))
                yield table
        yield from map(Text, self._remarks)


def _parts(grid: Grid, width: int) -> Iterator[Grid]:
    """The grid in pieces that fit, each with the first column and at least one more."""
    widths = [max(map(_width, column)) + _PADDING for column in zip(grid.header, *grid.rows, strict=True)]
    start = 1
    while start < len(widths):
        stop, used = start + 1, 1 + widths[0] + widths[start]
        while stop < len(widths) and used + widths[stop] <= width:
            used += widths[stop]
            stop += 1
        header, *rows = (row[:1] + row[start:stop] for row in (grid.header, *grid.rows))
        yield Grid(grid.title, header, rows)
        start = stop


def _width(cell: str) -> int:
    return max(map(len, cell.split("\n")))


def comparison_text(report: Report) -> str:
    """The same as plain text, however wide."""
    blocks = [*map(_plain, comparison_grids(report)), "\n".join(cautions(report))]
    return "\n\n".join(filter(None, blocks)) + "\n"


def cautions(report: Report) -> list[str]:
    """A line for each thing that makes the numbers worth less than they look."""
    count, lines = report["clusters"], []
    if count < ENOUGH_CLUSTERS:
        what = "problem" if count == report["problems"] else "cluster"
        lines = [f"{count} {what}{'s' * (count != 1)}: below {ENOUGH_CLUSTERS} the intervals are too narrow"]
    return [*lines, *unreached(report)]


def unreached(report: Report) -> list[str]:
    """A line for each arm some of whose samples could not be judged: its numbers count them as wrong."""
    lines = []
    for arm, outcomes in report["outcomes"].items():
        faults = {name: count for name, count in outcomes.items() if name not in _VERDICTS}
        if faults:
            shown = ", ".join(f"{count} {name}" for name, count in faults.items())
            lines.append(f"{arm}: {shown} of {sum(outcomes.values())} samples could not be judged and count as wrong")
    return lines


def _title(report: Report) -> str:
    problems = _problems(report)
    if report["clusters"] != report["problems"]:
        problems += f" in {report['clusters']} clusters"
    return f"{report['suite']}: {problems}, {report['settings']['confidence']:.0%} intervals"


def _problems(group: Report) -> str:
    return f"{group['problems']} problem{'s' * (group['problems'] != 1)}"


def _arms(title: str, group: Report) -> Grid:
    metrics = list(next(iter(group["arms"].values())))
    rows = [[arm, *(cell(values[name]) for name in metrics)] for arm, values in group["arms"].items()]
    return Grid(title, ["arm", *(name.replace("[", "\n[") for name in metrics)], rows)


def _paired(report: Report) -> Grid:
    metrics = list(dict.fromkeys(entry["metric"] for entry in report["paired"]))
    cells: dict[str, dict[str, str]] = {}
    for entry in report["paired"]:
        pair = f"{entry['arm']} - {entry['baseline']}"
        cells.setdefault(pair, {})[entry["metric"]] = cell(entry, "difference", signed=True)
    rows = [[pair, *(values[name] for name in metrics)] for pair, values in cells.items()]
    return Grid(_DIFFERENCES, ["pair", *(name.replace("[", "\n[") for name in metrics)], rows)


def _equal_tokens(report: Report) -> Grid:
    rows = []
    for entry in report["equal_tokens"]:
        votes = f"{entry['votes']:.2f}" + (" (too few samples)" if entry["capped"] else "")
        arm = f"{entry['arm']}\n{entry['arm_metric']}"
        baseline = f"{entry['baseline']}\n{entry['baseline_metric']}"
        values = [cell(entry["arm_value"]), cell(entry["baseline_value"]), cell(entry, "difference", signed=True)]
        rows.append([arm, baseline, votes, *values])
    return Grid("at equal tokens", ["arm", "baseline", "votes", "arm's", "baseline's", "difference"], rows)


def cell(entry: Mapping[str, Any], name: str = "value", signed: bool = False) -> str:
    """The value over its interval, with as many digits as its size asks for."""
    digits = 1 if abs(entry[name]) >= 10 else 3
    sign = "+" if signed else ""
    value, low, high = (format(entry[part], f"{sign}.{digits}f") for part in (name, "low", "high"))
    return f"{value}\n[{low}, {high}]"


def _plain(grid: Grid) -> str:
    """Columns as wide as their widest line; cells of several lines take several lines."""
    lines = [[cell.split("\n") for cell in row] for row in (grid.header, *grid.rows)]
    widths = [max(map(_width, column)) for column in zip(grid.header, *grid.rows, strict=True)]
    text = [grid.title]
    for row in lines:
        for number in range(max(map(len, row))):
            text.append(_aligned([cell[number] if number < len(cell) else "" for cell in row], widths))
    return "\n".join(text)


def _aligned(parts: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        part.rjust(width) if column else part.ljust(width)
        for column, (part, width) in enumerate(zip(parts, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()
