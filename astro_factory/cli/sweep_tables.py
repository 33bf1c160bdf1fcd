"""Writes and prints the comparison of a sweep, with one row per variant and arm."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

FILES = ("sweep.json", "sweep.parquet")
_SETTING_WIDTH = 40
"""Longest setting that is not wrapped on a narrow screen; numbers are never wrapped."""


def write_files(folder: Path, table: Mapping[str, Any]) -> None:
    """Write the table as JSON, and its rows as Parquet with a column for each setting, mean and seed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILES[0]).write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    flat = []
    for row in table["rows"]:
        plain = {name: value for name, value in row.items() if name not in ("settings", "means", "by_seed")}
        by_seed = {f"{row['metric']}, {seed}": value for seed, value in row["by_seed"].items()}
        settings = {name: json.dumps(value, ensure_ascii=False) for name, value in row["settings"].items()}
        flat.append(settings | plain | row["means"] | by_seed)
    names = dict.fromkeys(name for row in flat for name in row)
    pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in flat]), folder / FILES[1])


def print_table(table: Mapping[str, Any], folder: Path) -> None:
    """Print the table and the paths of its files."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    rows = table["rows"]
    if rows:
        shown = Table(box=None, pad_edge=False)
        columns = _columns(rows)
        console.width = max(
            console.width, _width(columns, rows[0]["settings"])
        )  # lines may wrap, but no cell is cut off
        for title in columns:
            shown.add_column(title, overflow="fold", no_wrap=title not in rows[0]["settings"])
        for cells in zip(*columns.values(), strict=True):
            shown.add_row(*map(Text, cells))
        console.print(shown)
        over = "problems and seeds" if rows[0]["seeds"] > 1 else "problems only, which say nothing about other seeds"
        console.print(f"{_seeds(rows[0]['seeds'])}; intervals of 95% over {over}", highlight=False, soft_wrap=True)
        if any(row.get("dropped_after") for row in rows):
            console.print(
                "dropped variants have intervals from fewer seeds (with one seed, over problems only); "
                "kept variants were selected by seeds that are part of their results",
                highlight=False,
                soft_wrap=True,
            )
    else:
        console.print("the baseline was not built, so there is nothing to compare")
    console.print(_searches(table), highlight=False)
    for stage, cause in list(table["failures"].items())[:20]:
        console.print(f"{stage} failed: {cause}", markup=False, highlight=False, style="red", soft_wrap=True)
    for file in FILES:
        console.print(f"  {folder / file}", highlight=False, markup=False, soft_wrap=True)


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The cells of each column by title: the axes, then the numbers, without constant columns."""
    metric = rows[0]["metric"]
    columns = {axis: [_short(row["settings"][axis]) for row in rows] for axis in rows[0]["settings"]}
    if len({row["arm"] for row in rows}) > 1:
        columns["arm"] = [row["arm"] for row in rows]
    columns[metric] = [f"{row['means'][metric]:.3f}" for row in rows]
    if any(len(row["by_seed"]) > 1 for row in rows):
        columns["over seeds"] = [_range(row["by_seed"].values()) for row in rows]
    columns["difference"] = list(map(_difference, rows))
    columns["p (Holm)"] = [_p(row["p_holm"]) if "p_holm" in row else "" for row in rows]
    for title, mean in {"tokens": "tokens[mean]", "backtracks": "backtracks[mean]"}.items():
        if any(mean in row["means"] for row in rows):
            columns[title] = [f"{row['means'][mean]:.1f}" if mean in row["means"] else "" for row in rows]
    if len({row["search_tokens"] for row in rows}) > 1:
        columns["search tokens"] = [f"{row['search_tokens'] or 0:,}" for row in rows]
    if any("dropped_after" in row for row in rows):
        columns["seeds"] = [f"{row['seeds']}{', then dropped' * bool(row['dropped_after'])}" for row in rows]
    return columns


def _width(columns: Mapping[str, Sequence[str]], axes: Collection[str]) -> int:
    """The width of a table without wrapped numbers."""
    longest = {title: max(map(len, [title, *cells])) for title, cells in columns.items()}
    shown = [min(size, _SETTING_WIDTH) if title in axes else size for title, size in longest.items()]
    return sum(shown) + 2 * len(shown)


def _searches(table: Mapping[str, Any]) -> str:
    text = f"searches: {table['searches_run']} run, {table['searches_there']} reused"
    tokens = {row["search_tokens"] for row in table["rows"]}
    return f"{text}; {tokens.pop():,} tokens a variant" if len(tokens) == 1 and None not in tokens else text


def _difference(row: Mapping[str, Any]) -> str:
    if row["baseline"]:
        return "baseline"
    return f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]" if "difference" in row else ""


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def _range(values: Collection[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else ""


def _short(value: Any) -> str:
    """A setting in a cell; of a template its name alone."""
    return Path(value).stem if isinstance(value, str) and value.endswith(".jinja") else _value(value)


def rung_text(rung: Mapping[str, Any]) -> str:
    """A decision of halving in one line."""
    names = "; ".join(map(settings_text, rung["dropped"])) or "nothing"
    return f"after {_seeds(rung['seeds'])} dropped: {names}"


def settings_text(settings: Mapping[str, Any]) -> str:
    """The settings of a variant as text."""
    return ", ".join(f"{name}={_value(value)}" for name, value in settings.items()) or "all"


def _seeds(count: int) -> str:
    return f"{count} seeds" if count > 1 else "1 seed"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
