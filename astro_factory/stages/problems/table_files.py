"""Rows of a JSON Lines, JSON, CSV or Parquet file. Encoding and delimiter are detected, and reported where unusual."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from astro_factory.core.errors import Diagnostic, Place, UserError, excerpt
from astro_factory.core.tables import read_table
from astro_factory.stages.problems.rows import Row

Note = Callable[[str], None]
"""Receives a sentence about how the file was read."""

_FIRST_BYTES = 1 << 18
_FIRST_ROWS = 100
_LINES_NAMED = 10
_DELIMITERS = ",;\t|"
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_rows(path: Path, shown: str, note: Note, encoding: str = "") -> Iterator[Row]:
    """The rows of a file, whose format is its suffix. `encoding` is empty for UTF-8, or what a byte order mark says.

    Raises:
        UserError: E427 with the place of what cannot be read.
    """
    suffix = Path(shown).suffix
    if suffix == ".parquet":
        return _read_parquet(path, shown)
    return READERS[suffix](_text(path, shown, note, encoding), shown, note)


def first_rows(path: Path, shown: str, encoding: str = "") -> list[Row] | None:
    """The rows in the first kilobytes of a file; None for a `.json` list that is longer. Raises as `read_rows`."""
    suffix, found = Path(shown).suffix, []
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        batch = next(pq.ParquetFile(path).iter_batches(batch_size=_FIRST_ROWS), None)
        return [Row(f"row {n}", values) for n, values in enumerate(batch.to_pylist() if batch else [], start=1)]
    whole = path.stat().st_size <= _FIRST_BYTES
    if suffix == ".json" and not whole:
        return None
    text = _text(path, shown, _quiet, encoding, None if whole else _FIRST_BYTES)
    if not whole:
        text = text.rpartition("\n")[0] + "\n"
    try:
        found += islice(READERS[suffix](text, shown, _quiet), _FIRST_ROWS)
    except UserError:
        # the end of the text may be in the middle of a row
        if whole:
            raise
    return found


def _quiet(note: str) -> None:
    pass


def _read_lines(text: str, shown: str, note: Note) -> Iterator[Row]:
    faults = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        column = 1
        try:
            values = _parse(line)
        except json.JSONDecodeError as error:
            fault, column = f"not valid JSON: {error.msg}", error.colno
        except (ValueError, RecursionError) as error:
            fault = str(error) if isinstance(error, ValueError) else "it nests too deeply"
        else:
            if isinstance(values, dict):
                yield Row(f"line {number}", values)
                continue
            fault = f"a row is a JSON object, not a {type(values).__name__}"
        place = Place(shown, number, column)
        faults.append(Diagnostic("E427", fault, "fix the line", place, excerpt(line, column)))
    if faults:
        raise UserError(*faults[:_LINES_NAMED])


def _read_list(text: str, shown: str, note: Note) -> Iterator[Row]:
    try:
        rows = _parse(text)
    except json.JSONDecodeError as error:
        place = Place(shown, error.lineno, error.colno)
        remedy = "write the rows as one list, or name the file .jsonl" if error.msg == "Extra data" else "fix the file"
        raise UserError.of("E427", f"not valid JSON: {error.msg}", remedy, place) from None
    except (ValueError, RecursionError) as error:
        cause = str(error) if isinstance(error, ValueError) else "it nests too deeply"
        raise UserError.of("E427", cause, "fix the file", Place(shown)) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError.of("E427", "not a list of objects", "write one object per problem", Place(shown))
    yield from (Row(f"row {number}", values) for number, values in enumerate(rows, start=1))


def _parse(text: str) -> Any:
    """JSON whose objects name no key twice. Raises `ValueError`."""
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{twice}' is there twice")
    return values


def _read_csv(text: str, shown: str, note: Note) -> Iterator[Row]:
    delimiter = _delimiter(text)
    if delimiter != ",":
        note(f"{shown}: values are separated by {delimiter!r}")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        names = [name for name in reader.fieldnames or () if name]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            place = Place(shown, 1, 1)
            raise UserError.of("E427", f"the header names the column '{twice[0]}' twice", "rename one", place)
        for values in reader:
            if None in values or None in values.values():
                place = Place(shown, reader.line_num, 1)
                cause = "the row has more or fewer values than the header has columns"
                raise UserError.of("E427", cause, f"quote values that hold {delimiter!r}", place)
            yield Row(f"line {reader.line_num}", values)
    except csv.Error as error:
        place = Place(shown, reader.reader.line_num, 1)
        raise UserError.of("E427", f"not valid CSV: {error}", "fix it", place) from None


def _delimiter(text: str) -> str:
    """The character that separates the columns of the first line; a comma where no other is more frequent."""
    header = "".join(text.lstrip().partition("\n")[0].split('"')[::2])  # without quoted names
    return max(_DELIMITERS, key=lambda character: (header.count(character), character == ","))


def _read_parquet(path: Path, shown: str) -> Iterator[Row]:
    import pyarrow as pa

    try:
        rows = read_table(path)
    except pa.ArrowException as error:
        raise UserError.of("E427", f"not valid Parquet: {error}", "write the file again", Place(shown)) from None
    yield from (Row(f"row {number}", values) for number, values in enumerate(rows, start=1))


def _text(path: Path, shown: str, note: Note, encoding: str, limit: int | None = None) -> str:
    """The text of a file, or of its first `limit` bytes."""
    with path.open("rb") as file:
        data = file.read(limit if limit is not None else -1)
    used = encoding or next((name for bom, name in _BOMS.items() if data.startswith(bom)), "utf-8")
    try:
        text = codecs.getincrementaldecoder(used)().decode(data, final=limit is None)
    except UnicodeDecodeError as error:
        cause = f"not {used.upper()} at byte {error.start}"
        remedy = "save it as UTF-8, or name its `encoding`, such as cp1252 for a file of Excel on Windows"
        raise UserError.of("E427", cause, remedy, Place(shown)) from None
    if not used.startswith("utf-8"):
        note(f"{shown}: read as {used}")
    return text.removeprefix("\ufeff")


READERS: dict[str, Callable[[str, str, Note], Iterator[Row]]] = {
    ".jsonl": _read_lines,
    ".json": _read_list,
    ".csv": _read_csv,
    ".tsv": _read_csv,
}
SUFFIXES = [*READERS, ".parquet"]
