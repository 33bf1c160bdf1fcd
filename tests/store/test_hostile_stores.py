"""Damage of any kind in a store: `fsck` finds and repairs it, `gc` and the readers survive it, nothing hangs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from astro_factory.core.canonical import digest
from astro_factory.core.errors import UserError
from astro_factory.store import Store
from astro_factory.store.fsck import fsck
from astro_factory.store.gc import gc
from astro_factory.store.items import StoredItems
from astro_factory.store.store import open_store

RECORD = {"kind": "test", "n": 1}
KEY, ITEM = digest(RECORD), digest("item")


@pytest.fixture
def store(tmp_path) -> Store:
    """One result that is a root and used one item."""
    store = Store(tmp_path / "store")
    out = store.staging(KEY) / "out"
    out.mkdir(parents=True)
    (out / "a.txt").write_bytes(b"words" * 100)
    StoredItems(store.root / "items", store.staging(KEY) / ".items").put(ITEM, b"tree")
    store.commit(KEY, RECORD, out, {"seconds": 9}, store.staging(KEY) / ".items")
    store.update_heads("spec", {"one": KEY})
    return store


def result(store: Store) -> Path:
    return store.result_path(KEY)


def items(store: Store) -> Path:
    return result(store).with_suffix(".items")


def heads(store: Store) -> Path:
    return store.root / "heads/spec.json"


FILES: dict[str, Callable[[Store], Path]] = {"result": result, "items": items, "heads": heads}
GARBAGE: dict[str, Callable[[Path], object]] = {
    "random bytes": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "text": lambda path: path.write_text("hello world\n"),
    "deep": lambda path: path.write_bytes(b"[" * 200_000),
    "deep object": lambda path: path.write_bytes(b'{"a":' * 100_000),
    "list": lambda path: path.write_text("[1]"),
    "null": lambda path: path.write_text("null"),
    "numbers": lambda path: path.write_text('{"one": 5}'),
    "list of numbers": lambda path: path.write_text('{"one": [5]}'),
    "list of lists": lambda path: path.write_text('{"one": [["x"]]}'),
    "object": lambda path: path.write_text('{"one": {"x": 1}}'),
    "paths": lambda path: path.write_text('{"one": ["../../../etc/passwd"], "": "x"}'),
    "surrogate": lambda path: path.write_text('{"one": ["\\ud800"]}'),
    "surrogate as a name": lambda path: path.write_text('{"\\ud800": ["x"], "": "x"}'),
    "many digits": lambda path: path.write_text('{"one": [' + "9" * 5000 + "]}"),
    "FIFO": os.mkfifo,
    "folder": lambda path: path.mkdir(),
    "dangling link": lambda path: path.symlink_to("nothing"),
    "device": lambda path: path.symlink_to("/dev/zero"),
}


def blob(store: Store) -> Path:
    [entry] = store.result(KEY).outputs.values()
    return store.blob_path(entry["sha256"])


def item(store: Store) -> Path:
    return store.root / "items" / ITEM[:2] / ITEM


@pytest.mark.parametrize("file", [blob, item])
@pytest.mark.parametrize("case", ["FIFO", "folder", "dangling link", "device"])
def test_what_is_no_file_in_the_place_of_one_does_not_hang(store, tmp_path, file, case):
    path, found = file(store), store.result(KEY)
    path.unlink()
    GARBAGE[case](path)
    assert store.has_blobs(found) == (file is item) and store.items().get(ITEM) == (None if file is item else b"tree")
    assert [fault.path for fault in fsck(store).faults] == [path]
    if GARBAGE[case] is not os.mkfifo:  # that one is replaced also without a repair
        assert fsck(store, repair=True).ok
    (tmp_path / "again").write_bytes(b"words" * 100)
    store.add_blob(tmp_path / "again")
    store.items().put(ITEM, b"tree")
    assert store.has_blobs(found) and store.items().get(ITEM) == b"tree" and fsck(store).ok
    gc(store, grace_days=0, delete=True)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_is_found_and_repaired_and_everything_survives_it(store, file, case):
    path = FILES[file](store)
    path.unlink()
    GARBAGE[case](path)
    for delete in (False, True):
        gc(store, delete=delete)
        gc(store, grace_days=0.0)
    store.result(KEY), list(store.results()), store.heads("spec"), store.history("spec")
    (fault,) = fsck(store).faults
    assert fault.path == path and str(fault.cause).isprintable() and len(fault.cause) < 300
    assert fsck(store, repair=True).ok and fsck(store).faults == []
    gc(store, grace_days=0.0, delete=True)
    store.update_heads("spec", {"one": KEY})
    assert store.heads("spec") == {"one": KEY} and fsck(store).faults == []


def test_any_flipped_bit_of_the_heads_is_found(store):
    sound = heads(store).read_bytes()
    for at in range(len(sound)):
        for bit in range(8):
            data = bytearray(sound)
            data[at] ^= 1 << bit
            heads(store).write_bytes(data)
            history, intact = store.read_heads("spec")
            assert not intact or history == {"one": [KEY]}, data[at - 20 : at + 20]
    heads(store).write_bytes(sound.replace(b"one", b"two"))
    (fault,) = fsck(store, repair=True).faults
    assert fault.healed == "kept the keys that have results" and store.heads("spec") == {"two": KEY}


def test_flipped_bits_in_a_list_of_items_are_found(store):
    data = bytearray(items(store).read_bytes())
    data[5] |= 0x80
    items(store).write_bytes(ITEM.encode() + b"\n" + data)
    (fault,) = fsck(store, repair=True).faults
    assert (fault.kind, fault.path) == ("items", items(store)) and items(store).read_text() == ITEM + "\n"


def test_no_root_is_lost_while_heads_are_damaged(store):
    heads(store).write_bytes(heads(store).read_bytes().replace(KEY.encode(), KEY.encode()[::-1]))
    found = gc(store, grace_days=0.0, delete=True)
    assert found.folders["results"].collected == 0 and store.has_blobs(store.result(KEY))


def dangling(path: Path) -> None:
    path.symlink_to("nothing")


def looping(path: Path) -> None:
    path.symlink_to(path)


def linked(path: Path) -> None:
    path.with_suffix(".txt").write_text("x")
    path.symlink_to(path.with_suffix(".txt"))


NO_FOLDERS: dict[str, Callable[[Path], object]] = {
    "file": lambda path: path.write_text("x"),
    "FIFO": os.mkfifo,
    "link to a file": linked,
    "dangling link": dangling,
    "link to itself": looping,
}


@pytest.mark.parametrize("below", ["", "deep/er"])
@pytest.mark.parametrize("case", NO_FOLDERS)
def test_a_store_that_is_no_folder(tmp_path, case, below):
    NO_FOLDERS[case](tmp_path / "x")
    with pytest.raises(UserError, match="E178"):
        open_store(tmp_path / "x" / below)


def test_a_store_with_an_impossible_name(tmp_path):
    with pytest.raises(UserError, match="E178") as caught:
        open_store(tmp_path / ("x" * 300))
    assert len(str(caught.value)) < 500


def test_a_store_that_is_new_or_linked(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    for name in ("real", "linked", "new", "linked/new/deep"):
        assert open_store(tmp_path / name).root == tmp_path / name
