"""Parquet tables with equal bytes for equal rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

_GROUP_ROWS = 2000
_GROUP_BYTES = 256 << 20
"""A row group ends at this size, which bounds the memory for writing a table."""


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], schema: Any) -> int:
    """Write rows (dicts) with a `pyarrow.Schema`, in order, streamed in row groups; returns the number of rows."""
    import pyarrow as pa

    def batches() -> Iterator[Any]:
        iterator = iter(rows)
        while some := list(islice(iterator, _GROUP_ROWS)):
            yield pa.RecordBatch.from_pylist(some, schema=schema)

    return write_batches(path, batches(), schema)


def write_batches(path: Path, batches: Iterable[Any], schema: Any) -> int:
    """`write_table` for `pyarrow.RecordBatch`es; the file does not depend on how the rows are divided into batches."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    group: list[Any] = []
    count = rows = size = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_batches(group, schema).combine_chunks())

        for batch in batches:
            group.append(batch)
            rows, size, count = rows + batch.num_rows, size + batch.nbytes, count + batch.num_rows
            if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
                flush()
                group, rows, size = [], 0, 0
        if group:
            flush()
    return count


def read_batches(path: Path, rows: int, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """A table as `pyarrow.RecordBatch`es of at most `rows` rows, in order.

    It opens one row group at a time: pyarrow's own iterator over a file keeps the bytes of all of them in memory.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        yield from file.iter_batches(rows, row_groups=[group], columns=columns)


def read_table(path: Path) -> list[dict[str, Any]]:
    """All rows of a Parquet file as dicts."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path).read().to_pylist()


def read_columns(path: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Some columns of all rows of a Parquet file as dicts."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path).read(columns=list(names)).to_pylist()
