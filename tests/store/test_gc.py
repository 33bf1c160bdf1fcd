"""Garbage collection keeps what a root, a running build or recent use needs; it lists or deletes the rest."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from astro_factory.core.canonical import digest
from astro_factory.core.results import Result
from astro_factory.store import Store
from astro_factory.store.fsck import fsck
from astro_factory.store.gc import GcReport, gc
from astro_factory.store.items import StoredItems


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def made(store: Store, number: int, shared: bytes = b"the same in all") -> Result:
    """A result with a blob of its own, one that all share, and two items."""
    record = {"kind": "test", "n": number}
    key = digest(record)
    out = store.staging(key) / "out"
    out.mkdir(parents=True)
    items = StoredItems(store.root / "items", store.staging(key) / ".items")
    for item in (digest(number), digest("shared")):
        items.put(item, b"tree")
    (out / "own").write_bytes(b"%d" % number * 100)
    (out / "shared").write_bytes(shared)
    result = store.commit(key, record, out, {}, store.staging(key) / ".items")
    store.output(result)
    return result


def now(store: Store, **more) -> GcReport:
    """A collection without grace time."""
    return gc(store, grace_days=0.0, **more)


def names(store: Store, pattern: str) -> set[str]:
    return {path.name for path in store.root.glob(pattern)}


def test_an_empty_store(store):
    found = now(store, delete=True)
    assert found.bytes == 0 and all(tally.kept == tally.collected == 0 for tally in found.folders.values())
    assert not store.root.exists()


def test_roots_stay_and_the_rest_goes(store):
    kept, gone = made(store, 1), made(store, 2)
    store.update_heads("spec", {"a": kept.key})
    dry = now(store)
    before = sorted(path for path in store.root.rglob("*"))
    assert now(store).folders == dry.folders
    assert sorted(path for path in store.root.rglob("*")) == before, "dry by default"
    found = now(store, delete=True)
    assert found.folders == dry.folders and found.deleted and not dry.deleted
    counts = {name: (tally.kept, tally.collected) for name, tally in found.folders.items()}
    assert counts == {
        "results": (2, 2), "blobs": (2, 1), "items": (2, 1), "outputs": (1, 1), "logs": (0, 0),
        "staging": (0, 2), "damaged": (0, 0), "locks": (0, 0),
    }  # fmt: skip
    assert found.folders["blobs"].bytes == 100 and found.bytes >= sum(t.bytes for t in found.folders.values()) > 100
    assert store.result(kept.key) == kept and store.has_blobs(kept) and store.result(gone.key) is None
    assert names(store, "items/*/*") == {digest(1), digest("shared")} and fsck(store).ok
    assert now(store).bytes == 0


def test_the_last_keys_of_a_stage_are_roots(store):
    results = [made(store, number) for number in range(8)]
    for result in results:
        store.update_heads("spec", {"a": result.key})
    store.update_heads("other", {"a": results[0].key})
    assert store.heads("spec") == {"a": results[7].key} and len(store.history("spec")["a"]) == 5
    now(store, delete=True)
    there = [number for number, result in enumerate(results) if store.result(result.key)]
    assert there == [0, 3, 4, 5, 6, 7]
    os.utime(store.result_path(results[3].key))
    now(store, keep_last=1, delete=True)
    assert [number for number, result in enumerate(results) if store.result(result.key)] == [0, 7]


def test_the_grace_time_counts_from_the_last_use(store):
    result = made(store, 1)
    assert gc(store, delete=True).bytes == 0, "a week, by default"
    assert now(store).folders["results"].collected == 2
    with store.building():
        assert now(store, delete=True).folders["results"].collected == 2, "made before the build began"
    result = made(store, 3)
    with store.building():
        assert store.result(result.key)
        found = now(store, delete=True)
        assert found.builds == 1 and store.has_blobs(result)
        assert now(store, delete=True).folders["blobs"].collected == 0
    assert now(store, delete=True).builds == 0 and store.result(result.key) is None


def test_to_go_through_all_results_is_not_to_use_them(store):
    results = [made(store, number) for number in range(2)]
    with store.building():
        assert sorted(r.key for r in store.results()) == sorted(r.key for r in results)
        assert store.result(results[0].key)
        now(store, delete=True)
    assert [result.key for result in store.results()] == [results[0].key]


def test_unfinished_work_keeps_its_items_for_the_grace_time(store):
    key = "c" * 64
    (store.staging(key) / "work").mkdir(parents=True)
    StoredItems(store.root / "items", store.staging(key) / ".items").put("ab" * 32, b"tree")
    assert gc(store, delete=True).folders["items"].kept == 1
    with store.lock(key):
        now(store, delete=True)
        assert store.staging(key).exists(), "a stage is running"
    assert now(store, delete=True).folders["staging"].collected == 1 and not store.staging(key).exists()


def test_a_build_that_was_killed_holds_nothing(store):
    code = (
        "import os, sys; from pathlib import Path; from astro_factory.store import Store\n"
        "with Store(Path(sys.argv[1])).building(): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, store.root], cwd=Path(__file__).parents[2], check=False)
    assert len(names(store, "locks/build-*")) == 1
    made(store, 1)
    found = now(store, delete=True)
    assert found.builds == 0 and found.folders["results"].collected == 2 and not names(store, "locks/build-*")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_store_that_may_only_be_read(store, monkeypatch, number):
    result, real = made(store, 1), os.open

    def opened(path, flags, *more, **kwargs):
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return real(path, flags, *more, **kwargs)

    monkeypatch.setattr(os, "open", opened)
    with store.building(), store.gc_paused():
        assert store.result(result.key) == result


def test_unused_locks(store):
    for key in ("a" * 64, "b" * 64):
        with store.lock(key):
            pass
    store.update_heads("spec", {"x": "d" * 64})
    with store.lock("a" * 64):
        now(store, delete=True)
        assert names(store, "locks/*") == {"gc.lock", "heads-spec.lock", "a" * 64 + ".lock"}
        with store.try_lock("a" * 64) as locked:
            assert not locked, "a lock that is held is the same lock still"


def test_quarantined_files_are_deleted_after_the_grace_time(store):
    result = made(store, 1)
    store.quarantine(result.outputs["own"]["sha256"], [result])
    assert gc(store).folders["damaged"].kept == 2 and now(store, delete=True).folders["damaged"].collected == 2


def test_a_result_that_cannot_be_read_is_no_root(store):
    result = made(store, 1)
    store.result_path(result.key).write_bytes(b"{")
    found = now(store, delete=True)
    assert found.folders["results"].collected == 2 and found.folders["blobs"].collected == 2


def test_heads_of_an_earlier_version(store):
    (store.root / "heads").mkdir(parents=True)
    (store.root / "heads/spec.json").write_text('{"a": "1"}')
    assert store.heads("spec") == {"a": "1"}
    store.update_heads("spec", {"a": "2"})
    assert store.history("spec") == {"a": ["2", "1"]}
