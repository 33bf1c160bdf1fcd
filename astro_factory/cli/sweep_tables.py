"""How a sweep's comparison is written and printed: a row for each variant and arm."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILES = ("sweep.json", "sweep.parquet")


def write_files(folder: Path, table: Mapping[str, Any]) -> None:
    """The table as JSON, and its rows as Parquet with a column for each setting and mean."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILES[0]).write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    flat = []
    for row in table["rows"]:
        plain = {name: value for name, value in row.items() if name not in ("settings", "means")}
        settings = {name: json.dumps(value, ensure_ascii=False) for name, value in row["settings"].items()}
        flat.append(settings | plain | row["means"])
    names = dict.fromkeys(name for row in flat for name in row)
    pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in flat]), folder / FILES[1])


def print_table(table: Mapping[str, Any], folder: Path) -> None:
    """The table for people, with where its files lie."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    rows = table["rows"]
    if rows:
        metric = rows[0]["metric"]
        shown = Table(box=None, pad_edge=False)
        titles = ("variant", "arm", metric, "difference", "p (Holm)", "tokens an answer", "search tokens")
        for title in (*titles, "seeds") if table["halving"] else titles:
            shown.add_column(title, overflow="fold")
        for row in rows:
            shown.add_row(*map(Text, _cells(row, metric)[: len(shown.columns)]))
        console.print(shown)
        console.print(f"{_seeds(rows[0]['seeds'])}; intervals of 95% over problems and seeds", highlight=False)
        if any(row.get("dropped_after") for row in rows):
            console.print(
                "dropped variants have intervals from fewer seeds, over problems alone where that is one; "
                "kept ones were chosen by seeds that are in their numbers",
                highlight=False,
                soft_wrap=True,
            )
    else:
        console.print("the baseline was not built, so there is nothing to compare with")
    console.print(f"searches: {table['searches_run']} run, {table['searches_there']} there already", highlight=False)
    for stage, cause in list(table["failures"].items())[:20]:
        console.print(f"{stage} failed: {cause}", markup=False, highlight=False, style="red", soft_wrap=True)
    for file in FILES:
        console.print(f"  {folder / file}", highlight=False, soft_wrap=True)


def _cells(row: Mapping[str, Any], metric: str) -> list[str]:
    difference = p = ""
    if row["baseline"]:
        difference = "baseline"
    elif "difference" in row:
        difference = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        p = f"{row['p_holm']:.3f}"
    search = "" if row["search_tokens"] is None else f"{row['search_tokens']:,}"
    tokens = f"{row['means']['tokens[mean]']:.1f}"
    seeds = f"{row['seeds']}, then dropped" if row.get("dropped_after") else str(row["seeds"])
    value, variant = f"{row['means'][metric]:.3f}", settings_text(row["settings"])
    return [variant, row["arm"], value, difference, p, tokens, search, seeds]


def told(rung: Mapping[str, Any]) -> str:
    """What was decided after some seeds, in a line."""
    names = "; ".join(map(settings_text, rung["dropped"])) or "nothing"
    return f"after {_seeds(rung['seeds'])} dropped: {names}"


def settings_text(settings: Mapping[str, Any]) -> str:
    """A variant as people say it."""
    return ", ".join(f"{name}={_value(value)}" for name, value in settings.items()) or "all"


def _seeds(count: int) -> str:
    return f"{count} seeds" if count > 1 else "1 seed"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
