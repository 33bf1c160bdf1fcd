"""A full disk: whichever write fails, the store stays consistent, finished work stays, and the call works later."""

import errno
import io
import os
import shutil

import pytest

from astro_factory.core.errors import UserError
from astro_factory.store import Store
from astro_factory.store.disk_errors import disk_errors_explained, is_full
from astro_factory.store.fsck import fsck
from tests.store.test_fsck import made

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullDisk:
    """Makes every call that needs disk space fail, from call number `step` on."""

    def __init__(self, monkeypatch, step: int):
        self.calls, self.step = 0, step
        for name in ("mkdir", "link", "replace", "fsync", "symlink"):
            monkeypatch.setattr(os, name, self.failing(getattr(os, name)))
        real_open, real_fdopen = os.open, os.fdopen

        def opened(path, flags, *more, **kwargs):
            if flags & os.O_CREAT:
                self.take()
            return real_open(path, flags, *more, **kwargs)

        monkeypatch.setattr(os, "open", opened)
        monkeypatch.setattr(os, "fdopen", lambda *args, **kw: self.file(real_fdopen(*args, **kw)))
        monkeypatch.setattr(shutil, "copyfile", self.failing(shutil.copyfile))

    def take(self) -> None:
        self.calls += 1
        if self.calls >= self.step:
            raise FULL

    def failing(self, real):
        def call(*args, **kwargs):
            self.take()
            return real(*args, **kwargs)

        return call

    def file(self, file: io.BufferedWriter):
        disk = self

        class Half(io.BufferedWriter):
            def write(self, data):
                try:
                    disk.take()
                except OSError:
                    super().write(data[: len(data) // 2])
                    raise
                return super().write(data)

        return Half(file.detach())


def work(store: Store) -> None:
    """Everything that a build writes to a store."""
    with store.building():
        result = made(store, 2)
        store.output(result)
        store.items().put("cd" * 32, b"another tree")
        store.update_heads("spec", {"one": result.key})


def test_whichever_write_fails(tmp_path, monkeypatch):
    step, failures = 0, 0
    while step == failures:
        step += 1
        store = Store(tmp_path / f"store-{step}")
        first = made(store, 1, {"first": b"finished long ago"})
        store.items().put("ab" * 32, b"tree")
        with monkeypatch.context() as patch:
            FullDisk(patch, step)
            try:
                with disk_errors_explained(store.root):
                    work(store)
            except UserError as error:
                assert error.diagnostics[0].code == "E170"
                failures += 1
        checked = fsck(store)
        assert not checked.faults and not list(store.root.rglob(".tmp-*")), step
        assert store.result(first.key) == first and store.has_blobs(first) and store.items().get("ab" * 32) == b"tree"
        work(store)
        assert not fsck(store).faults and store.heads("spec")
    assert step > 15


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),
    ],
)
def test_libraries_report_it_in_their_own_ways(error, tmp_path, golden):
    assert is_full(error)
    with pytest.raises(UserError) as caught, disk_errors_explained(tmp_path / "store"):
        try:
            raise error
        finally:
            raise ValueError("and then the table could not be closed")
    assert caught.value.diagnostics[0].code == "E170"
    golden(str(caught.value))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_files_of_a_store_that_cannot_be_used(number, tmp_path, golden):
    file = tmp_path / "store/locks/key.lock"
    with pytest.raises(UserError) as caught, disk_errors_explained(tmp_path / "store"):
        raise OSError(number, os.strerror(number), str(file))
    assert caught.value.diagnostics[0].code == "E179"
    golden(str(caught.value))


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError), disk_errors_explained(tmp_path):
        raise PermissionError("no")
    with pytest.raises(PermissionError), disk_errors_explained(tmp_path / "store"):
        raise PermissionError(errno.EACCES, "no", str(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match="E101"), disk_errors_explained(tmp_path):
        raise UserError.of("E101", "No space left on device is the name of a file")
