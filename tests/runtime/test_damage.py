"""A flipped bit in any blob of a build is found, and the next build heals it."""

import pytest

from astro_factory.store.fsck import fsck
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


def test_a_flipped_bit_in_any_blob(built):
    store, sound = built.store, bytes_of(built.store)
    assert len(sound) == 3
    for blob in sorted((store.root / "blobs").glob("*/*")):
        flip(blob, blob.stat().st_size // 2)
        (fault,) = fsck(store, repair=True).faults
        assert fault.path == blob and fault.healed
        assert sorted(built.build().outcomes.values()) == ["hit", "hit", "ran"]
        assert bytes_of(store) == sound and not fsck(store).faults


def test_an_edit_below_outputs_never_reaches_what_follows(built):
    """Nobody has to call for a check: the time of writing tells, and the stage runs again before anybody reads it."""
    store, sound = built.store, bytes_of(built.store)
    for number, path in enumerate(path for path in sorted((store.root / "outputs").rglob("*")) if path.is_file()):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[::-1])
        done = built.build(f"publish.data.message=Take {number}")
        assert done.ok and bytes_of(store).items() >= sound.items() and not fsck(store).faults
