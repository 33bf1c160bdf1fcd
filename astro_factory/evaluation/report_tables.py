"""A report as tables: a row for each arm, a column for each metric, every value with its interval.

`comparison_table` draws with rich, `comparison_text` returns plain lines for files and pipes; both show the same cells.
`headline_table` is the short form that `build` and `show` print: a table of the arms and one of their differences.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from astro_factory.evaluation.report_schema import EqualTokens, ProblemGroup, Report, SampleAndCheck, ValueInterval
from astro_factory.evaluation.samples import LATER_MEASURES, MEASURES

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table
    from rich.text import Text

_VERDICTS = ("correct", "incorrect", "no_answer")
_EXHAUSTED = 0.01
"""Share of sequential runs without samples left from which a table says so."""
_LONG_FORM_ONLY = ("[share]", *(f"{name}[mean]" for name in (*MEASURES, *LATER_MEASURES) if name != "backtracks"))
"""Endings of the names of metrics that only the long form shows."""
_SEQUENTIAL = {
    "sample_and_check": "sampling the baseline until the domain's check accepts, at equal tokens",
    "check_steps": "the same with a check that reads the steps: a failed sample ends at the step that shows it",
}
_DIFFERENCES = "differences on the same problems"
ENOUGH_CLUSTERS = 30
"""From this many clusters on, 95 % intervals cover the true value 95 % of the time; with 10 it is 91 %, with 5 87 %."""
_PADDING = 3
"""Columns of the console that a column of the table takes besides its text."""


class Grid(NamedTuple):
    """A table as plain strings; cells may contain line breaks."""

    title: str
    header: list[str]
    rows: list[list[str]]


def comparison_grids(report: Report) -> list[Grid]:
    """The tables of a report: arms, differences, the equal-token control, then arms by level and by source."""
    grids = [_arms(_title(report), report)]
    if report.paired:
        grids.append(_paired(report))
    if report.equal_tokens:
        grids.append(_equal_tokens(report))
        grids += filter(None, [_sequential(report, control) for control in _SEQUENTIAL])
    for column, groups in (("level", report.levels), ("source", report.sources)):
        grids += [_arms(f"{name or 'no ' + column}: {_problems(group)}", group) for name, group in groups.items()]
    return grids


def headline_grids(report: Report) -> list[Grid]:
    """Arms and differences, a line each: the suite's first metric with its interval, the others without."""
    first, *others = next(iter(report.arms.values()))
    others = [name for name in others if not name.endswith(_LONG_FORM_ONLY)]
    rows = [
        [arm, _one_line(value_cell(values[first])), *(value_cell(values[name]).split("\n")[0] for name in others)]
        for arm, values in report.arms.items()
    ]
    grids = [Grid(_title(report), ["arm", first, *(name.partition("[")[0] for name in others)], rows)]
    pairs = {f"{e.arm} - {e.baseline}": e for e in report.paired if e.metric == first}
    pairs |= {f"{e.arm} - {e.baseline}'s vote at equal tokens": e for e in report.equal_tokens}
    for control, ending in (
        ("sample_and_check", "until the check accepts"),
        ("check_steps", "with a check of its steps"),
    ):
        pairs |= {
            f"{e.arm} - sampling {e.baseline} {ending}": found
            for e in report.equal_tokens
            if (found := getattr(e, control))
        }
    if pairs:
        cells = [
            [name, _one_line(interval_cell(e.difference, e.low, e.high, signed=True))] for name, e in pairs.items()
        ]
        grids.append(Grid(_DIFFERENCES, ["pair", first], cells))
    return grids


def _one_line(cell: str) -> str:
    return cell.replace("\n", " ")


def comparison_table(report: Report) -> "GridTables":
    """The tables of a report for a rich console, with a warning for each arm that could not be judged in full."""
    return GridTables(comparison_grids(report), warnings_of(report))


def headline_table(report: Report) -> "GridTables":
    """`headline_grids` for a rich console; the last metrics are left out where they do not fit."""
    return GridTables(headline_grids(report), warnings_of(report), split=False)


class GridTables:
    """Tables for `console.print`. A table that is too wide is split, and each part repeats the first column. Without
    `split`, only its first part is shown."""

    def __init__(self, grids: Sequence[Grid], warnings: Sequence[str], split: bool = True):
        self._grids, self._warnings, self._split = grids, warnings, split

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Table | Text]":
        from rich import box
        from rich.table import Table
        from rich.text import Text

        for grid in self._grids:
            for number, part in enumerate(_parts(grid, options.max_width)):
                if number and not self._split:
                    break
                table = Table(title=None if number else Text(grid.title), title_justify="left", box=box.SIMPLE_HEAD)
                for index, name in enumerate(part.header):
                    table.add_column(Text(name), justify="right" if index else "left")
                for row in part.rows:
                    table.add_row(*map(Text, row))
                yield table
        yield from map(Text, self._warnings)


def _parts(grid: Grid, width: int) -> Iterator[Grid]:
    """The grid in parts that fit the width, each with the first column and at least one more."""
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
    """The same as plain text of any width."""
    blocks = [*map(_plain, comparison_grids(report)), "\n".join(warnings_of(report))]
    return "\n\n".join(filter(None, blocks)) + "\n"


def warnings_of(report: Report) -> list[str]:
    """A line for each reason to trust the numbers less."""
    count, lines = report.clusters, []
    if count < ENOUGH_CLUSTERS:
        what = "problem" if count == report.problems else "cluster"
        lines = [f"{count} {what}{'s' * (count != 1)}: below {ENOUGH_CLUSTERS} the intervals are too narrow"]
    else:
        lines = list(filter(None, (_all_alike(report, arm) for arm in report.arms)))
    for arm, outcomes in report.outcomes.items():
        unjudged = ", ".join(f"{count} {name}" for name, count in outcomes.items() if name not in _VERDICTS)
        if unjudged:
            total = sum(outcomes.values())
            lines.append(f"{arm}: {unjudged} of {total} samples could not be judged and count as wrong")
    return [*lines, *chain.from_iterable(map(_ran_out, report.equal_tokens))]


def _ran_out(entry: EqualTokens) -> Iterator[str]:
    """Where the baseline had too few samples to spend as many tokens as the arm."""
    pair = f"{entry.arm} - {entry.baseline}"
    if entry.capped:
        yield f"{pair}: too few samples for a vote of {entry.votes:.1f}, so it had fewer tokens; raise samples_for"
    shares = {name: found.exhausted for name in _SEQUENTIAL if (found := getattr(entry, name))}
    short = [f"{share:.0%} of the runs of {name}" for name, share in shares.items() if share > _EXHAUSTED]
    if short:
        yield f"{pair}: too few samples for {' and '.join(short)}, which widens the interval; raise samples_for"


def _all_alike(report: Report, arm: str) -> str:
    """What is not excluded where all responses are right, or all wrong, so that resamples do not differ."""
    metric, found = next(iter(report.arms[arm].items()))
    if not (found.low == found.high in (0, 1)):
        return ""
    reach = ((1 - report.settings.confidence) / 2) ** (1 / report.clusters)
    bound = f"down to {reach:.3f}" if found.value else f"up to {1 - reach:.3f}"
    return f"{arm}: {metric} is {found.value:g} everywhere, so the interval has no width; {bound} is not excluded"


def _title(report: Report) -> str:
    problems = _problems(report)
    if report.clusters != report.problems:
        problems += f" in {_clusters(report.clusters)}"
    return f"{report.suite}: {problems}, {report.settings.confidence:.0%} intervals"


def _clusters(count: int) -> str:
    return f"{count} cluster{'s' * (count != 1)}"


def _problems(group: ProblemGroup) -> str:
    return f"{group.problems} problem{'s' * (group.problems != 1)}"


def _arms(title: str, group: ProblemGroup) -> Grid:
    metrics = list(next(iter(group.arms.values())))
    rows = [[arm, *(value_cell(values[name]) for name in metrics)] for arm, values in group.arms.items()]
    return Grid(title, ["arm", *(name.replace("[", "\n[") for name in metrics)], rows)


def _paired(report: Report) -> Grid:
    metrics = list(dict.fromkeys(entry.metric for entry in report.paired))
    cells: dict[str, dict[str, str]] = {}
    for entry in report.paired:
        pair = f"{entry.arm} - {entry.baseline}"
        cells.setdefault(pair, {})[entry.metric] = interval_cell(entry.difference, entry.low, entry.high, signed=True)
    rows = [[pair, *(values[name] for name in metrics)] for pair, values in cells.items()]
    return Grid(_DIFFERENCES, ["pair", *(name.replace("[", "\n[") for name in metrics)], rows)


def _equal_tokens(report: Report) -> Grid:
    rows = []
    for entry in report.equal_tokens:
        votes = f"{entry.votes:.2f}"
        if entry.capped:
            votes += " (too few samples)"
        elif entry.votes < 1:
            votes += " (one costs more)"
        arm = f"{entry.arm}\n{entry.arm_metric}"
        baseline = f"{entry.baseline}\n{entry.baseline_metric}"
        difference = interval_cell(entry.difference, entry.low, entry.high, signed=True)
        rows.append([arm, baseline, votes, value_cell(entry.arm_value), value_cell(entry.baseline_value), difference])
    return Grid("at equal tokens", ["arm", "baseline", "votes", "arm's", "baseline's", "difference"], rows)


def _sequential(report: Report, name: str) -> Grid | None:
    """Over all problems; of a suite in which only some sources have a check, over those."""
    checked = [("", report)]
    if not any(getattr(entry, name) for entry in report.equal_tokens):
        checked = [(f"\non {source} alone", group) for source, group in report.sources.items()]
    rows = []
    for place, group in checked:
        for entry in group.equal_tokens:
            control: SampleAndCheck | None = getattr(entry, name)
            if control is None:
                continue
            tokens = f"{entry.tokens[entry.arm]:.0f}\n{control.tokens:.0f}"
            limit = f"{control.limit}" + (" (too few samples)" if control.exhausted > _EXHAUSTED else "")
            difference = interval_cell(control.difference, control.low, control.high, signed=True)
            pair = f"{entry.arm}\n{entry.baseline}{place}"
            rows.append([pair, tokens, limit, value_cell(entry.arm_value), value_cell(control.value), difference])
    header = ["arm\nbaseline", "tokens", "limit", "arm's", "baseline's", "difference"]
    return Grid(_SEQUENTIAL[name], header, rows) if rows else None


def value_cell(entry: ValueInterval) -> str:
    return interval_cell(entry.value, entry.low, entry.high)


def interval_cell(value: float, low: float, high: float, signed: bool = False) -> str:
    """The value above its interval: three decimals, or one from 10 on."""
    form = ("+" if signed else "") + (".1f" if abs(value) >= 10 else ".3f")
    return f"{value:{form}}\n[{low:{form}}, {high:{form}}]"


def _plain(grid: Grid) -> str:
    """The grid as aligned text; a cell may take several lines."""
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
