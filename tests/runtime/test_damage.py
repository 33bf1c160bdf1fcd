"""A flipped bit in any blob of a build is found, and the next build heals it."""

import threading

import pytest

from astro_factory.store.fsck import fsck
from astro_factory.store.gc import gc
from tests.store.test_fsck import flip

SPEC = """\
factory: 1
name: small
problems:
  puzzles: {kind: countdown, count: 10, seed: 3}
stages:
  drill: {kind: practice, count: 20}
publish:
  data: {repo: "file:out", artifacts: [puzzles, drill]}
"""


@pytest.fixture
def built(bench, monkeypatch):
    monkeypatch.chdir(bench.folder)
    bench.path.write_text(SPEC)
    assert bench.build().ok
    return bench


def bytes_of(store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store.root / "blobs").glob("*/*")}


@pytest.mark.slow
def test_a_flipped_bit_in_any_blob(built):
    store, sound = built.store, bytes_of(built.store)
    assert len(sound) == 3
    for blob in sorted((store.root / "blobs").glob("*/*")):
        flip(blob, blob.stat().st_size // 2)
        (fault,) = fsck(store, repair=True).faults
        assert fault.path == blob and fault.healed
        assert sorted(built.build().outcomes.values()) == ["hit", "hit", "ran"]
        assert bytes_of(store) == sound and not fsck(store).faults


@pytest.mark.slow
def test_an_edit_below_outputs_never_reaches_what_follows(built):
    """The modification time reveals the edit, and the stage runs again before its output is read."""
    store, sound = built.store, bytes_of(built.store)
    for number, path in enumerate(path for path in sorted((store.root / "outputs").rglob("*")) if path.is_file()):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[::-1])
        done = built.build(f"publish.data.message=Take {number}")
        assert done.ok and bytes_of(store).items() >= sound.items() and not fsck(store).faults


STAGES = """
a: {kind: light, text: TEXT}
b: {kind: light, reads: [a], text: b}
c: {kind: light, reads: [a, b], text: c}
"""


@pytest.mark.slow
def test_collecting_in_a_loop_while_builds_run(bench):
    """Builds go back and forth between versions that only the last one is a root of, so hits are there to be lost."""
    stop, collected = threading.Event(), []

    def collect() -> None:
        while not stop.is_set():
            collected.append(gc(bench.store, grace_days=0.0, keep_last=1, delete=True))

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for number in range(30):
            bench.write(STAGES.replace("TEXT", f"t{number % 3}"))
            with bench.store.building():
                done = bench.build()
                assert done.ok, done.failures
                assert bench.output(done, "c") == f"c\nt{number % 3}\nb\nt{number % 3}"
    finally:
        stop.set()
        collector.join()
    assert sum(found.bytes for found in collected) and any(found.builds for found in collected)
    assert fsck(bench.store).ok
    assert bench.build().outcomes == dict.fromkeys("abc", "hit"), "what is reachable is there"
