"""A check finds every flipped bit; after a repair the store has no fault and a build makes the output again."""

import json
import os
from pathlib import Path

import pytest

from astro_factory.core.canonical import digest
from astro_factory.core.results import Result
from astro_factory.store import Store
from astro_factory.store.files import BLOB_MTIME_NS
from astro_factory.store.fsck import fsck

FILES = {"table.parquet": b"rows" * 1000, "deep/er/notes.txt": b"words", "empty": b""}


@pytest.fixture
def store(tmp_path) -> Store:
    """Two results, one of them without its files, an item and heads."""
    store = Store(tmp_path / "store")
    result = made(store, 1)
    store.output(result)
    without = made(store, 2, {"gone": b"gone"})
    store.blob_path(without.outputs["gone"]["sha256"]).unlink()
    store.items().put("ab" * 32, b"one tree")
    store.update_heads("spec", {"one": result.key})
    return store


def made(store: Store, number: int, files: dict[str, bytes] = FILES) -> Result:
    folder = store.root.parent / f"out-{os.urandom(4).hex()}"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    record = {"kind": "test", "n": number}
    return store.commit(digest(record), record, folder, {})


def flip(path: Path, at: int = -1) -> None:
    """Flip one bit as a bad disk does, without changing the mtime."""
    before = path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_sound_store(store):
    checked = fsck(store)
    assert checked.ok and checked.faults == checked.leftovers == []
    assert checked.counts == {
        "blobs": 3, "bytes": 4005, "results": 2, "outputs": 3, "items": 1, "without_files": 1,
    }  # fmt: skip


def test_an_empty_store(tmp_path):
    assert fsck(Store(tmp_path / "none"), repair=True).ok and not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["table.parquet", "deep/er/notes.txt"])
def test_a_flipped_bit_in_a_blob(store, name, golden):
    """The name below `outputs/` is the same file, so it goes as well, and comes back whole."""
    result = store.result(digest({"kind": "test", "n": 1}))
    blob, shown = store.blob_path(result.outputs[name]["sha256"]), store.output(result) / name
    flip(blob, 3)
    assert store.has_blobs(result) and shown.read_bytes() != FILES[name]
    (fault,) = fsck(store).faults
    assert (fault.kind, fault.path, fault.healed) == ("blob", blob, "")
    assert result.key[:12] in fault.cause
    golden(fault.cause)
    (fault,) = fsck(store, repair=True).faults
    aside = store.root / "damaged"
    assert fault.healed == f"moved to {aside}/{blob.name}" and len(list(aside.iterdir())) == 2
    assert store.result(result.key) is None and not shown.exists() and not fsck(store).faults
    assert made(store, 1) == result
    assert (store.output(result) / name).read_bytes() == FILES[name] and not fsck(store).faults


def test_running_a_stage_again_heals_without_a_check(store):
    result = store.result(digest({"kind": "test", "n": 1}))
    for name in ("table.parquet", "deep/er/notes.txt"):
        flip(store.blob_path(result.outputs[name]["sha256"]))
    made(store, 1)
    folder = store.output(result)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES and not fsck(store).faults


def test_an_edit_below_outputs_is_an_edit_of_the_blob_and_is_seen_at_once(store):
    result = store.result(digest({"kind": "test", "n": 1}))
    path = store.output(result) / "deep/er/notes.txt"
    path.chmod(0o644)
    path.write_bytes(b"WORDS")
    assert not store.has_blobs(result), "the same size, but not the time of writing"
    made(store, 1)
    assert (store.output(result) / "deep/er/notes.txt").read_bytes() == b"words"


def test_a_touched_file_is_read_and_believed(store):
    result = store.result(digest({"kind": "test", "n": 1}))
    blob = store.blob_path(result.outputs["table.parquet"]["sha256"])
    os.utime(blob)
    assert store.has_blobs(result) and blob.stat().st_mtime_ns == BLOB_MTIME_NS


def test_any_byte_of_a_result(store):
    """Every change to a result file is detected: in a name, a size or the provenance."""
    path = store.result_path(digest({"kind": "test", "n": 1}))
    sound = path.read_bytes()
    for at in range(len(sound)):
        data = bytearray(sound)
        data[at] ^= 1
        path.write_bytes(data)
        assert store.result(path.stem) is None, sound[at - 20 : at + 20]
    path.write_bytes(data)
    (fault,) = fsck(store).faults
    assert fault.kind == "result" and fault.path == path
    assert not fsck(store, repair=True).faults[0].path.exists()
    made(store, 1)
    assert path.read_bytes() == sound


BAD_RESULTS = {
    "another record": lambda d: d | {"record": {"kind": "test", "n": 3}},
    "a file outside its folder": lambda d: d | {"outputs": {"../../x": d["outputs"]["empty"]}},
    "another provenance": lambda d: d | {"provenance": {"seconds": 2}},
    "another field": lambda d: d | {"more": 1},
}


@pytest.mark.parametrize("edit", BAD_RESULTS)
def test_an_edited_result(store, edit, golden):
    path = store.result_path(digest({"kind": "test", "n": 1}))
    path.write_text(json.dumps(BAD_RESULTS[edit](json.loads(path.read_bytes())), indent=1))
    (fault,) = fsck(store).faults
    assert fault.kind == "result" and store.result(path.stem) is None
    golden(fault.cause)


def test_a_result_under_another_key(store):
    path = store.result_path(digest({"kind": "test", "n": 1}))
    other = path.with_name("0" * 64 + ".json")
    os.replace(path, other)
    (fault,) = fsck(store, repair=True).faults
    assert fault.path == other and "another key" in fault.cause and not other.exists()


def test_a_flipped_bit_in_an_item(store):
    path = next((store.root / "items").glob("*/*"))
    flip(path)
    (fault,) = fsck(store, repair=True).faults
    assert (fault.kind, fault.path, fault.healed) == ("item", path, "removed") and fsck(store).ok


def test_a_copy_below_outputs_is_read_too(store):
    result = store.result(digest({"kind": "test", "n": 1}))
    path = store.output(result) / "table.parquet"
    path.unlink()
    path.write_bytes(b"ROWS" * 1000)
    (fault,) = fsck(store, repair=True).faults
    assert (fault.kind, fault.path, fault.healed) == ("output", path, "removed")
    assert (store.output(result) / "table.parquet").read_bytes() == FILES["table.parquet"]


def test_heads_that_cannot_be_read(store):
    (store.root / "heads/torn.json").write_text("{")
    (fault,) = fsck(store, repair=True).faults
    assert (fault.kind, fault.cause, fault.healed) == ("head", "cannot be read", "removed")
    assert store.heads("spec") and fsck(store).ok


def test_what_a_killed_process_left_is_no_fault(store, monkeypatch):
    torn = store.root / "blobs/ab/.tmp-1"
    torn.parent.mkdir(exist_ok=True)
    torn.write_bytes(b"half")
    key = digest({"kind": "test", "n": 1})
    for name in (key, "c" * 64):
        (store.staging(name) / "work").mkdir(parents=True)
    found = fsck(store)
    assert found.ok and [fault.path for fault in found.leftovers] == [store.staging(key)]
    monkeypatch.setattr("astro_factory.store.fsck._ABANDONED_S", 0.0)
    with store.lock(key):
        assert [fault.kind for fault in fsck(store, repair=True).leftovers] == ["torn"], "a builder holds the lock"
    assert [fault.kind for fault in fsck(store, repair=True).leftovers] == ["staging"]
    assert not torn.exists() and store.staging("c" * 64).exists(), "unfinished work is kept"
    store.update_heads("spec", {"lost": "d" * 64})
    (left,) = fsck(store).leftovers
    assert left.cause == "the results of lost are gone"
