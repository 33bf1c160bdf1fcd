"""A build on a full disk: a small file system in memory."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from astro_factory.store import Store
from astro_factory.store.fsck import fsck
from tests.runtime.bench import Bench

STAGES = """
a: {kind: light, text: a}
b: {kind: light, reads: [a], do: [heap], text: b}
c: {kind: heavy, reads: [b], text: c}
"""


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 8, 40, 400])
def test_a_full_disk_is_reported_and_loses_nothing(tmp_path, small_disk, room):
    """With so many kilobytes free, and then with all of them."""
    bench = Bench(tmp_path / "bench")
    bench.write(STAGES)
    bench.store = Store(small_disk / "store")
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize
    ballast.write_bytes(bytes(free - 1024 * room))
    builder = bench.start("--json")
    out, err = builder.communicate(timeout=120)
    assert builder.returncode in (1, 2) and "Traceback" not in out + err, (out, err)
    assert "E170 no space left on the disk" in out or '"code": "E170"' in out, (out, err)
    done = {s["name"] for s in json.loads(out).get("stages", []) if s["outcome"] == "ran"}
    assert not fsck(bench.store).faults
    ballast.unlink()
    builder = bench.start("--json")
    out, err = builder.communicate(timeout=120)
    assert builder.returncode == 0, (out, err)
    outcomes = {stage["name"]: stage["outcome"] for stage in json.loads(out)["stages"]}
    assert set(outcomes) == set("abc") and all(outcomes[name] == "hit" for name in done), (done, outcomes)
    assert not fsck(bench.store).faults and (Path(bench.store.root) / "heads/bench.json").exists()
