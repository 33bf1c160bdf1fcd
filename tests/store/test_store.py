"""Blobs, results and items are complete or missing, even after kills, edits and concurrent writes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from astro_factory.core.canonical import digest, file_digest
from astro_factory.core.results import Result
from astro_factory.store import Store
from astro_factory.store.files import write_atomic

# the children only write files and end by os._exit
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

RECORD = {"kind": "test", "config": {"count": 3}}
KEY = digest(RECORD)
FILES = {"table.parquet": b"rows" * 1000, "deep/er/notes.txt": b"words", "empty": b""}


def staged(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    """A stage's output folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def committed(store: Store, files: dict[str, bytes] = FILES) -> Result:
    folder = staged(store.root.parent / "staged" / os.urandom(4).hex(), files)
    return store.commit(KEY, RECORD, folder, {"seconds": 1.0})


def fsck(store: Store) -> None:
    """The invariant: every name matches its content, and every result has all its blobs."""
    for path in store.root.glob("blobs/*/*"):
        assert path.name.startswith(".tmp-") or file_digest(path) == path.name
    for path in store.root.glob("results/*/*.json"):
        assert path.name.startswith(".tmp-") or store.has_blobs(store.result(path.stem))
    for path in store.root.glob("heads/*.json"):
        json.loads(path.read_text())


def test_commit_and_look_again(store):
    result = committed(store)
    assert store.result(KEY) == result and store.has_blobs(result)
    assert result.outputs["deep/er/notes.txt"] == {"sha256": hashlib.sha256(b"words").hexdigest(), "size": 5}
    folder = store.output(result)
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == FILES
    assert not [path for path in store.root.rglob(".tmp-*")]
    fsck(store)


def test_content_is_names_and_bytes_and_nothing_else(store, tmp_path):
    one = committed(store)
    other = store.commit(digest({"x": 1}), {"x": 1}, staged(tmp_path / "other"), {"seconds": 9.9})
    renamed = store.commit(digest({"x": 2}), {"x": 2}, staged(tmp_path / "third", {"renamed": b"words"}), {})
    assert one.content == other.content != renamed.content


def test_equal_bytes_are_kept_once(store, tmp_path):
    result = store.commit(KEY, RECORD, staged(tmp_path / "out", {"a": b"same", "b": b"same"}), {})
    assert len(list(store.root.glob("blobs/*/*"))) == 1
    assert (store.output(result) / "b").read_bytes() == b"same"


KILLABLE = ("fsync", "replace", "link", "chmod", "mkdir")


def commit_and_die(root: Path, folder: Path, step: int) -> None:
    """In a child: commit, and be killed before call number `step` to the file system."""
    calls = 0

    def killing(real):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in KILLABLE:
        setattr(os, name, killing(getattr(os, name)))
    store = Store(root)
    result = store.commit(KEY, RECORD, folder, {})
    store.output(result)
    store.items().put("ab" * 32, b"item")
    store.update_heads("spec", {"stage": KEY})
    os._exit(0)


def test_killed_at_every_step(tmp_path):
    store, code, step = Store(tmp_path / "store"), -1, 0
    while code != 0:
        step += 1
        assert step < 100
        folder = staged(tmp_path / f"out-{step}")
        child = os.fork()
        if not child:
            commit_and_die(store.root, folder, step)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -signal.SIGKILL)
        fsck(store)
        assert store.items().get("ab" * 32) in (None, b"item")
        for path in (store.root / "outputs").rglob("*"):
            if path.is_file() and not path.name.startswith(".tmp-"):
                assert path.read_bytes() == FILES[path.relative_to(store.root / "outputs" / KEY).as_posix()]
        if step % 2 and code:  # begin with nothing, or with what the killed one left
            store = Store(tmp_path / f"store-{step}")
    assert step > 20 and store.has_blobs(store.result(KEY)) and store.heads("spec") == {"stage": KEY}


@pytest.mark.parametrize("seconds", [0.1, 60.0])
def test_blobs_are_on_disk_before_the_result_has_its_name(store, monkeypatch, seconds):
    """So that a power cut never leaves a result without its blobs. Only the result of a slow stage is synced."""
    steps, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: steps.append(os.fstat(handle).st_ino) or fsync(handle))
    monkeypatch.setattr(os, "replace", lambda old, new: steps.append(str(new)) or replace(old, new))
    result = store.commit(KEY, RECORD, staged(store.root.parent / "out"), {"seconds": seconds})
    named = steps.index(str(store.result_path(KEY)))
    blobs = {store.blob_path(entry["sha256"]).stat().st_ino for entry in result.outputs.values()}
    assert blobs <= set(steps[:named]) and named == len(steps) - 1
    assert (store.result_path(KEY).stat().st_ino in steps) is (seconds > 1)


def test_processes_that_commit_the_same(tmp_path):
    children = []
    for number in range(4):
        child = os.fork()
        if not child:
            store = Store(tmp_path / "store")
            for turn in range(20):
                result = store.commit(KEY, RECORD, staged(tmp_path / f"{number}-{turn}"), {})
                store.output(result)
                store.items().put("cd" * 32, bytes(1000))
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    store = Store(tmp_path / "store")
    fsck(store)
    assert store.items().get("cd" * 32) == bytes(1000) and not list(store.root.rglob(".tmp-*"))


def test_threads_that_commit_the_same_bytes(store, tmp_path):
    """Two stages of one build may well write the same file at the same moment."""
    gate = threading.Barrier(8)

    def commit(number: int) -> Result:
        folder = staged(tmp_path / str(number), {f"f{i}": bytes([i]) * 100 for i in range(30)})
        gate.wait()
        record = {"number": number}
        return store.commit(digest(record), record, folder, {})

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(commit, range(8)))
    assert len({result.content for result in results}) == 1
    fsck(store)


def test_a_lost_blob_is_noticed_and_comes_back(store):
    result = committed(store)
    blob = store.blob_path(result.outputs["table.parquet"]["sha256"])
    blob.unlink()
    assert not store.has_blobs(result)
    committed(store)
    assert store.has_blobs(result)


def test_a_cut_blob_is_noticed_and_heals(store):
    """Even where the folder that shows the output holds the same damaged file."""
    result = committed(store)
    folder = store.output(result)
    blob = store.blob_path(result.outputs["table.parquet"]["sha256"])
    blob.chmod(0o644)
    blob.write_bytes(b"cut")
    assert not store.has_blobs(result)
    committed(store)
    assert store.has_blobs(result)
    assert (store.output(result) / "table.parquet").read_bytes() == FILES["table.parquet"]
    assert folder == store.output(result)
    fsck(store)


@pytest.mark.parametrize("hard_links", [True, False])
def test_edited_output_reaches_neither_the_blob_nor_the_next_stage(store, monkeypatch, hard_links):
    if not hard_links:
        monkeypatch.setattr(os, "link", lambda *args: (_ for _ in ()).throw(OSError("no hard links here")))
    result = committed(store)
    path = store.output(result) / "deep/er/notes.txt"
    assert path.stat().st_mode & 0o222 == 0
    untouched = path.stat().st_ino
    store.output(result)
    assert path.stat().st_ino == untouched, "an unedited file is not written again"
    # as an editor saves: a new file under the old name, of the same size
    (path.parent / "new").write_bytes(b"WORDS")
    os.replace(path.parent / "new", path)
    assert store.has_blobs(result) and store.blob_path(result.outputs["deep/er/notes.txt"]["sha256"]).exists()
    assert (store.output(result) / "deep/er/notes.txt").read_bytes() == b"words"
    fsck(store)


def test_a_linked_file_of_the_user_stays_the_users(store, tmp_path):
    theirs = tmp_path / "theirs.txt"
    theirs.write_bytes(b"mine")
    folder = staged(tmp_path / "out", {"own": b"1"})
    (folder / "linked").symlink_to(theirs)
    result = store.commit(KEY, RECORD, folder, {})
    theirs.write_bytes(b"changed")
    assert theirs.stat().st_mode & 0o200
    assert (store.output(result) / "linked").read_bytes() == b"mine"
    fsck(store)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": "x"}', None])
def test_a_result_that_cannot_be_read_is_none(store, content):
    result = committed(store)
    path = store.result_path(KEY)
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    assert store.result(KEY) is None
    assert committed(store) == store.result(KEY) == result


def test_a_result_of_another_record_is_none(store):
    committed(store)
    text = store.result_path(KEY).read_text()
    store.result_path(KEY).write_text(text.replace('"count": 3', '"count": 4'))
    assert store.result(KEY) is None


def test_items_come_back_or_are_missing(store):
    items, value = store.items(), b"line\n\xff" * 50
    items.put(KEY, value)
    assert items.get(KEY) == value and items.get("0" * 64) is None
    items.put(KEY, b"")
    assert items.get(KEY) == b""


@pytest.mark.parametrize("keep", [0, 1, 63, 64, 65, 100])
def test_a_torn_item_is_missing(store, keep):
    items = store.items()
    items.put(KEY, b"x" * 100)
    path = store.root / "items" / KEY[:2] / KEY
    path.write_bytes(path.read_bytes()[:keep])
    assert items.get(KEY) is None
    path.write_bytes(b"\xff\xfe" * 40 + b"\n")
    assert items.get(KEY) is None


CLAIMANT = """
import sys, time
from pathlib import Path
from astro_factory.store.items import StoredItems
items = StoredItems(Path(sys.argv[1]))
print(*(items.claim(key * 64) for key in "ab"), flush=True)
items.get("a" * 64)
time.sleep(60)
"""


def test_a_claim_belongs_to_one_process_and_ends_with_it(store):
    items = store.items()
    assert items.claim("b" * 64) and items.claim("b" * 64)
    with subprocess.Popen(
        [sys.executable, "-c", CLAIMANT, str(items.root)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "True False\n"
        assert not items.claim("a" * 64) and items.claim("c" * 64)
        items.release("c" * 64)
        other.kill()
    assert items.claim("a" * 64)


def test_heads_are_kept_by_spec(store):
    assert store.heads("a") == {}
    store.update_heads("a", {"x": "1"})
    store.update_heads("b", {"x": "2"})
    assert store.heads("a") == {"x": "1"}
    (store.root / "heads/a.json").write_text("{")
    assert store.heads("a") == {}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    monkeypatch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
