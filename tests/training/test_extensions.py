import os
import subprocess
import sys
import time

import pytest

from astro_factory.training.extensions import extensions_folder

HOLD = "import os, sys; os.open(sys.argv[1], os.O_CREAT | os.O_EXCL); print('locked', flush=True); sys.stdin.read()"


@pytest.fixture
def lock(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = extensions_folder() / "deepspeed_shm_comm/lock"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux who has a file open")
def test_a_lock_stays_while_its_process_lives(lock):
    """As PyTorch locks a folder in which it compiles; a killed process leaves the file."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as compiler:
        assert compiler.stdout.readline() == b"locked\n"
        os.utime(lock, (0, 0))  # however long it takes
        extensions_folder()
        assert lock.exists()
        compiler.kill()
    assert lock.exists()
    extensions_folder()
    assert not lock.exists()


def test_without_such_a_system_the_age_decides(lock, monkeypatch):
    monkeypatch.setattr("astro_factory.training.extensions._OPEN_FILES", lock.parent / "none")
    for age, kept in ((0, True), (800, True), (1000, False)):
        lock.touch()
        os.utime(lock, (time.time() - age,) * 2)
        extensions_folder()
        assert lock.exists() is kept


def test_each_machine_and_environment_has_its_own_folder(monkeypatch):
    folders = {extensions_folder()}
    monkeypatch.setattr("platform.node", lambda: "other")
    folders.add(extensions_folder())
    monkeypatch.setattr("sys.prefix", "/other")
    assert len(folders | {extensions_folder()}) == 3
