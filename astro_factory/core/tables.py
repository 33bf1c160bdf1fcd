"""Parquet tables with equal bytes for equal rows."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], schema: Any) -> int:
    """Write rows (dicts) with a `pyarrow.Schema`, in order, streamed in row groups; returns the number of rows."""
    import itertools

    import pyarrow as pa
    import pyarrow.parquet as pq

    iterator, count = iter(rows), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := list(itertools.islice(iterator, 2000)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


def read_table(path: Path) -> list[dict[str, Any]]:
    """All rows of a Parquet file as dicts."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path).read().to_pylist()
