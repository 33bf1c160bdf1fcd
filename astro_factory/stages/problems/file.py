"""Your own problems, from a JSON Lines, JSON, CSV or Parquet file."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import FileField
from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic, Place, UserError, excerpt
from astro_factory.core.tables import read_table
from astro_factory.stages.problems.rows import Row, RowsConfig, check_verifier, write_problems

OUTPUT = ArtifactType.PROBLEMS
VERSION = 3
HEAVY = False

_LINES_NAMED = 10


class Config(RowsConfig):
    kind: Literal["file"]
    path: FileField
    """The file, relative to the spec's folder, ending in .jsonl, .json (a list), .csv or .parquet."""


def check(config: Config, files: Mapping[str, str]) -> list[Diagnostic]:
    """A file whose format is unknown, or an unknown verifier."""
    suffix = Path(config.path).suffix
    if suffix in READERS:
        return check_verifier(config.verifier)
    choices = ", ".join(READERS)
    return [Diagnostic("E426", f"'{config.path}' has no known format", f"use a file ending in {choices}")]


def run(ctx: StageContext, config: Config) -> None:
    path = ctx.inputs[config.path]
    rows = READERS[Path(config.path).suffix](path, config.path)
    write_problems(ctx, rows, config, config.path)


def _read_lines(path: Path, shown: str) -> Iterator[Row]:
    faults = []
    for number, line in enumerate(_text(path, shown).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            fault, column = f"not valid JSON: {error.msg}", error.colno
        else:
            if isinstance(values, dict):
                yield Row(f"line {number}", values)
                continue
            fault, column = f"a row is a JSON object, not a {type(values).__name__}", 1
        place = Place(shown, number, column)
        faults.append(Diagnostic("E427", fault, "fix the line", place, excerpt(line, column)))
    if faults:
        raise UserError(*faults[:_LINES_NAMED])


def _read_list(path: Path, shown: str) -> Iterator[Row]:
    try:
        rows = json.loads(_text(path, shown))
    except json.JSONDecodeError as error:
        place = Place(shown, error.lineno, error.colno)
        raise UserError.of("E427", f"not valid JSON: {error.msg}", "fix the file", place) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError.of("E427", "not a list of objects", "write one object per problem", Place(shown))
    yield from (Row(f"row {number}", values) for number, values in enumerate(rows, start=1))


def _read_csv(path: Path, shown: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(_text(path, shown), newline=""), strict=True)
    try:
        for values in reader:
            if None in values or None in values.values():
                place = Place(shown, reader.line_num, 1)
                cause = "the row has more or fewer values than the header has columns"
                raise UserError.of("E427", cause, "quote values that hold commas", place)
            yield Row(f"line {reader.line_num}", values)
    except csv.Error as error:
        raise UserError.of(
            "E427", f"not valid CSV: {error}", "fix it", Place(shown, reader.reader.line_num, 1)
        ) from None


def _read_parquet(path: Path, shown: str) -> Iterator[Row]:
    import pyarrow as pa

    try:
        rows = read_table(path)
    except pa.ArrowException as error:
        raise UserError.of("E427", f"not valid Parquet: {error}", "write the file again", Place(shown)) from None
    yield from (Row(f"row {number}", values) for number, values in enumerate(rows, start=1))


def _text(path: Path, shown: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError.of("E427", f"not UTF-8 at byte {error.start}", "save it as UTF-8", Place(shown)) from None


READERS: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    ".jsonl": _read_lines,
    ".json": _read_list,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
