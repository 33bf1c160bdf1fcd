"""Outputs that a stranger made: what a stage could not read is refused, what our kinds write passes."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astro_factory.core.canonical import digest, file_digest
from astro_factory.core.dialogues import dialogue_schema
from astro_factory.core.results import Result
from astro_factory.core.tables import write_table
from astro_factory.evaluation.samples import sample_schema
from astro_factory.stages import table_decoding
from astro_factory.stages.validation import output_fault


def fault(folder: Path, section: str, kind: str, files: dict[str, bytes], *, names_only: bool = False) -> str | None:
    paths = {}
    for name, data in files.items():
        paths[name] = folder / name
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        paths[name].write_bytes(data)
    record = {"section": section, "kind": kind}
    outputs = {name: {"sha256": file_digest(path), "size": path.stat().st_size} for name, path in paths.items()}
    return output_fault(Result(digest(record), record, outputs, {}), {} if names_only else paths)


def parquet(schema: pa.Schema) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    return sink.getvalue().to_pybytes()


def safetensors(size: int, declared: int | None = None, header: object = None) -> bytes:
    table = {"x": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}} if header is None else header
    data = json.dumps(table).encode()
    return (len(data) if declared is None else declared).to_bytes(8, "little") + data + bytes(size)


def changed(schema: pa.Schema, **types: pa.DataType) -> bytes:
    return parquet(pa.schema([(field.name, types.get(field.name, field.type)) for field in schema]))


TABLE = parquet(dialogue_schema())
LARGE = pa.large_list(dialogue_schema().field("messages").type.value_type)
REPORT = {"report.json": b"{}", "analysis.json": b"{}", "samples.parquet": parquet(sample_schema())}
DRILL, SUITE, MODEL = ("stages", "practice"), ("stages", "evaluate"), ("stages", "sft")

NAMES = {
    "another table": (DRILL, {"traces.parquet": TABLE}),
    "other file": (DRILL, {"a": b"a"}),
    "in a folder": (DRILL, {"data/dialogues.parquet": TABLE}),
    "no analysis": (SUITE, {name: data for name, data in REPORT.items() if name != "analysis.json"}),
    "model without config": (MODEL, {"model.safetensors": safetensors(4)}),
    "no receipt": (("publish", "publish"), {"x": b"x"}),
}
CONTENTS = {
    "not Parquet": (DRILL, {"dialogues.parquet": b"rows"}),
    "empty": (DRILL, {"dialogues.parquet": b""}),
    "cut": (DRILL, {"dialogues.parquet": TABLE[:-9]}),
    "damaged footer": (DRILL, {"dialogues.parquet": TABLE[:4] + bytes(len(TABLE) - 12) + TABLE[-8:]}),
    "missing column": (DRILL, {"dialogues.parquet": parquet(pa.schema([("id", pa.string())]))}),
    "column of numbers": (DRILL, {"dialogues.parquet": changed(dialogue_schema(), id=pa.int64())}),
    "messages are text": (DRILL, {"dialogues.parquet": changed(dialogue_schema(), messages=pa.string())}),
    "messages lack a role": (
        DRILL,
        {"dialogues.parquet": changed(dialogue_schema(), messages=pa.list_(pa.struct([("content", pa.string())])))},
    ),
    "column twice": (DRILL, {"dialogues.parquet": parquet(pa.schema([*dialogue_schema(), ("id", pa.string())]))}),
    "another Parquet file": (DRILL, {"dialogues.parquet": TABLE, "more.parquet": b"x"}),
    "samples of another shape": (SUITE, REPORT | {"samples.parquet": TABLE}),
    "report is a list": (SUITE, REPORT | {"report.json": b"[]"}),
    "report is deep": (SUITE, REPORT | {"report.json": b"[" * 200_000}),
    "report is no JSON": (SUITE, REPORT | {"report.json": b"\xff"}),
    "config is deep": (MODEL, {"config.json": b'{"a":' * 100_000}),
    "config is text": (MODEL, {"config.json": b'"llama"'}),
    "pointer is a list": (("models", "hub"), {"hub.json": b"[]"}),
    "weights are pickled": (MODEL, {"config.json": b"{}", "model.safetensors": b"\x80\x04cos\nsystem\n"}),
    "weights are empty": (MODEL, {"config.json": b"{}", "model.safetensors": b""}),
    "huge header": (MODEL, {"config.json": b"{}", "model.safetensors": safetensors(4, 1 << 62)}),
    "cut weights": (MODEL, {"config.json": b"{}", "model.safetensors": safetensors(9)[:-1]}),
    "offsets are text": (
        MODEL,
        {"config.json": b"{}", "model.safetensors": safetensors(1, header={"x": {"data_offsets": "ab"}})},
    ),
    "header is a list": (MODEL, {"config.json": b"{}", "model.safetensors": safetensors(0, header=[])}),
}
SOUND = {
    "table": (DRILL, {"dialogues.parquet": TABLE}),
    "more columns and files": (
        DRILL,
        {"dialogues.parquet": parquet(pa.schema([*dialogue_schema(), ("x", pa.int8())])), "notes.txt": b""},
    ),
    "large types": (
        DRILL,
        {"dialogues.parquet": changed(dialogue_schema(), id=pa.large_string(), messages=LARGE)},
    ),
    "report": (SUITE, REPORT),
    "model": (MODEL, {"config.json": b"{}", "model.safetensors": safetensors(4)}),
    "model without weights": (MODEL, {"config.json": b"{}"}),
    "pointer": (("models", "hub"), {"hub.json": b"{}"}),
    "kind that is not installed": (("stages", "unknown"), {"x": b"x"}),
    "section that does not exist": (("x", "practice"), {"x": b"x"}),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMES)
def test_an_output_without_a_file_of_its_type(tmp_path, case):
    (section, kind), files = NAMES[case]
    assert fault(tmp_path, section, kind, files, names_only=True)


@pytest.mark.parametrize("case", CONTENTS)
def test_a_file_that_no_stage_could_read(tmp_path, case):
    (section, kind), files = CONTENTS[case]
    assert fault(tmp_path, section, kind, files, names_only=True) is None
    found = fault(tmp_path, section, kind, files)
    assert found and found.isprintable() and len(found) < 300


def garbage_pages() -> bytes:
    """A sound footer over random pages."""
    data = bytearray(rows_of(["a question"] * 500))
    data[40:200] = random.Random(0).randbytes(160)
    return bytes(data)


def not_utf8() -> bytes:
    return rows_of(["a question"] * 50).replace(b"a question", b"a \xff\xfeestion")


def bomb() -> bytes:
    """A few kilobytes for 20 million rows."""
    schema = dialogue_schema()
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table([pa.nulls(20_000_000, field.type) for field in schema], schema=schema), sink)
    return sink.getvalue().to_pybytes()


def rows_of(texts: list[str]) -> bytes:
    rows = [{"id": str(i), "skill": "x", "messages": [{"role": "user", "content": t}]} for i, t in enumerate(texts)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=dialogue_schema()), sink, compression="none", use_dictionary=False)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("make", [garbage_pages, not_utf8, bomb])
def test_pages_that_no_stage_could_read(tmp_path, make):
    data = make()
    assert len(data) < 200_000
    found = fault(tmp_path, *DRILL, {"dialogues.parquet": data})
    assert found and found.isprintable() and len(found) < 300


def test_pages_are_read_within_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(table_decoding, "_CPU_S", 0.001)
    monkeypatch.setattr(table_decoding, "_MAX_BYTES", 1 << 40)
    assert "takes more than" in (fault(tmp_path, *DRILL, {"dialogues.parquet": bomb()}) or "")


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_output_passes(tmp_path, case):
    (section, kind), files = SOUND[case]
    assert fault(tmp_path, section, kind, files) is None


def test_rows_do_not_matter(tmp_path):
    rows = [{"id": str(i), "skill": "x", "messages": [{"role": "user", "content": "?"}]} for i in range(5000)]
    write_table(tmp_path / "dialogues.parquet", rows, dialogue_schema())
    assert fault(tmp_path, *DRILL, {"dialogues.parquet": (tmp_path / "dialogues.parquet").read_bytes()}) is None
