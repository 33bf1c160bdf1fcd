"""Tables are read as they were written, and never kept in memory as a whole."""

from random import Random

import pyarrow as pa
import pytest

from astro_factory.core.tables import read_batches, read_table, write_table

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])
ROWS = [{"id": index, "text": f"{Random(index).getrandbits(1600):x}"} for index in range(9000)]
"""Five row groups."""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "rows.parquet"
    assert write_table(path, ROWS, SCHEMA) == len(ROWS)
    return path


@pytest.mark.parametrize("rows", [1000, 300, 5000])
def test_batches_are_the_rows_in_order(path, rows):
    batches = list(read_batches(path, rows))
    assert [row for batch in batches for row in batch.to_pylist()] == ROWS == read_table(path)
    assert max(batch.num_rows for batch in batches) <= rows
    assert [row for batch in read_batches(path, rows, ["id"]) for row in batch.to_pylist()] == [
        {"id": row["id"]} for row in ROWS
    ]


def test_a_table_without_rows_has_no_batches(tmp_path):
    write_table(tmp_path / "empty.parquet", [], SCHEMA)
    assert list(read_batches(tmp_path / "empty.parquet", 10)) == []


def test_reading_holds_one_row_group_of_the_file(tmp_path):
    path = tmp_path / "long.parquet"
    rows = ({"id": index, "text": f"{Random(index).getrandbits(800):x}"} for index in range(40_000))
    write_table(path, rows, SCHEMA)
    before = pa.total_allocated_bytes()
    batches = read_batches(path, 100)
    next(batches)
    assert pa.total_allocated_bytes() - before < path.stat().st_size / 3
