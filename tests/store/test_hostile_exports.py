"""Store exports that a stranger has prepared: each is one E130 line, at once and in little memory, from `plan` too."""

import io
import json
import os
import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from astro_factory.core.canonical import digest
from astro_factory.core.errors import UserError
from astro_factory.store.exports import Export

RECORD = {"kind": "x", "version": 1}
KEY = digest(RECORD)
BLOB = f"blobs/{'a' * 64}"
HUGE = 20 << 30


def result_json(**changes: object) -> bytes:
    outputs = {"a": {"sha256": "a" * 64, "size": 3}}
    return json.dumps({"key": KEY, "record": RECORD, "outputs": outputs, "provenance": {}} | changes).encode()


def member(name: str, data: bytes = b"abc", **changes: object) -> bytes:
    """A member as bytes; `changes` are attributes of its header, whose data stays as it is."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in changes.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512)


def sparse_gnu(name: str) -> bytes:
    """An old GNU sparse member: three bytes that stand for 20 GB."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    header[124:136], header[156:157] = b"%011o\0" % 3, tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0%011o\0" % (0, 3)
    header[483:495] = b"\x80" + HUGE.to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"abc".ljust(512, b"\0")


def pax(fields: dict[str, str], name: str, data: bytes = b"abc") -> bytes:
    return member(name, data, pax_headers=fields)


def header_of_size(kind: bytes, size: int) -> bytes:
    """A PAX or GNU header that declares a size, with no data."""
    return member("x", b"", type=kind, size=size)


def negative_size() -> bytes:
    header = bytearray(tarfile.TarInfo(BLOB).tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" + (-1024).to_bytes(11, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def result(**changes: object) -> bytes:
    return member(f"results/{KEY}.json", result_json(**changes))


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(HUGE)}
ARCHIVES: dict[str, bytes] = {
    "sparse GNU": sparse_gnu(BLOB),
    "sparse GNU of another name": sparse_gnu("notes"),
    "sparse PAX 0.0": pax({"GNU.sparse.size": str(HUGE), "GNU.sparse.numblocks": "0"}, BLOB),
    "sparse PAX 0.1": pax({"GNU.sparse.size": str(HUGE), "GNU.sparse.map": "0,3"}, BLOB),
    "sparse PAX 1.0": pax(SPARSE | {"GNU.sparse.name": BLOB}, "x", b"1\n0\n3\n".ljust(512, b"\0") + b"abc"),
    "sparse PAX 1.0 without an end": pax(SPARSE, BLOB, b"9" * 512),
    "sparse result": sparse_gnu(f"results/{KEY}.json"),
    "size in PAX": pax({"size": str(HUGE)}, BLOB),
    "size in PAX of a result": pax({"size": str(HUGE)}, f"results/{KEY}.json"),
    "negative size in PAX": pax({"size": "-1024"}, BLOB),
    "negative size": negative_size(),
    "size in the header": member(BLOB, size=HUGE),
    "PAX header of 20 GB": header_of_size(tarfile.XHDTYPE, HUGE) + result(),
    "global PAX header of 20 GB": header_of_size(tarfile.XGLTYPE, HUGE) + result(),
    "long name of 20 GB": header_of_size(tarfile.GNUTYPE_LONGNAME, HUGE) + result(),
    "long link of 20 GB": header_of_size(tarfile.GNUTYPE_LONGLINK, HUGE) + result(),
    "many digits in a PAX header": header_of_size(tarfile.XHDTYPE, 1 << 20) + b"1" * (1 << 20) + result(),
    "2,000 PAX headers in a row": member("x", b"8 a=bcd\n", type=tarfile.XHDTYPE) * 2000,
    "symbolic link": member(BLOB, b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "link to a result": result() + member(BLOB, b"", type=tarfile.LNKTYPE, linkname=f"results/{KEY}.json"),
    "link to itself": member(f"results/{KEY}.json", b"", type=tarfile.LNKTYPE, linkname=f"results/{KEY}.json"),
    "symbolic link as a result": member(f"results/{KEY}.json", b"", type=tarfile.SYMTYPE, linkname="../secret"),
    "character device": member(BLOB, b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "block device": member(BLOB, b"", type=tarfile.BLKTYPE),
    "FIFO": member(f"results/{KEY}.json", b"", type=tarfile.FIFOTYPE),
    "FIFO of another name": result() + member("notes", b"", type=tarfile.FIFOTYPE),
    "a result twice": result() + result(),
    "a blob twice": member(BLOB) + member(BLOB),
    "blob that is no digest": member("blobs/../../x"),
    "result that is no digest": member("results/x.json", result_json()),
    "result under another key": member(f"results/{'b' * 64}.json", result_json()),
    "key that is not the record's digest": result(key="b" * 64),
    "deep JSON": member(f"results/{KEY}.json", b"[" * 200_000),
    "deep record": member(f"results/{KEY}.json", b'{"record": ' + b'{"a":' * 100_000),
    "number of 5,000 digits": member(f"results/{KEY}.json", b'{"key": ' + b"9" * 5000 + b"}"),
    "not UTF-8": member(f"results/{KEY}.json", b"\xff\xfe{"),
    "surrogate": result(outputs={"\ud800": {"sha256": "a" * 64, "size": 3}}),
    "no outputs": result(outputs={}),
    "outputs is a list": result(outputs=["a"]),
    "two sizes of one file": result(outputs={n: {"sha256": "a" * 64, "size": s} for n, s in (("a", 1), ("b", 2))}),
    "provenance is text": result(provenance="yesterday"),
    "provenance is a list": result(provenance=[]),
    "versions is text": result(provenance={"versions": "1.0"}),
    "versions of numbers": result(provenance={"versions": {"torch": 2}}),
    "seconds is text": result(provenance={"seconds": "long"}),
    "seconds is infinite": result(provenance={"seconds": float("inf")}),
    "seconds is negative": result(provenance={"seconds": -1}),
    "rows is a list": result(provenance={"rows": [1]}),
    "rows is true": result(provenance={"rows": True}),
    "metrics is an object": result(provenance={"metrics": {"loss": 1}}),
    "metrics of text": result(provenance={"metrics": ["loss"]}),
    "started is no time": result(provenance={"started": "now"}),
    "gpus is text": result(provenance={"gpus": "H100"}),
    "source is a list": result(provenance={"source": ["x"]}),
}
ARCHIVES = {name: data + bytes(1024) for name, data in ARCHIVES.items()}


def refused(path: Path) -> str:
    with pytest.raises(UserError, match="E130") as caught:
        Export(path).results()
    text = str(caught.value)
    assert text.isprintable() and len(text) < 600
    return text


@pytest.mark.parametrize("case", ARCHIVES)
def test_a_hostile_export_is_one_line(tmp_path, case):
    (tmp_path / "x.tar").write_bytes(ARCHIVES[case])
    refused(tmp_path / "x.tar")


def test_a_larger_result_than_any_is_not_read(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        info = tarfile.TarInfo(f"results/{KEY}.json")
        info.size = 65 << 20
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    assert "too large" in refused(tmp_path / "x.tar")


def linked_fifo(path: Path) -> None:
    os.mkfifo(path.with_suffix(".fifo"))
    path.symlink_to(path.with_suffix(".fifo"))


SPECIAL: dict[str, Callable[[Path], None]] = {
    "FIFO": os.mkfifo,
    "link to a FIFO": linked_fifo,
    "folder": lambda path: path.mkdir(),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "dangling link": lambda path: path.symlink_to("nothing"),
    "link to itself": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("case", SPECIAL)
def test_what_is_no_regular_file_is_not_opened(tmp_path, case):
    SPECIAL[case](tmp_path / "x.tar")
    refused(tmp_path / "x.tar")


ODD_BUT_HONEST = {
    "folders": member("results/", b"", type=tarfile.DIRTYPE) + result() + member(BLOB),
    "other files": member("README", b"words") + result() + member(BLOB),
    "size of a blob in PAX": result() + pax({"size": "3"}, BLOB),
    "free provenance": result(provenance={"note": [1], "seconds": 0, "cores": None}) + member(BLOB),
}


@pytest.mark.parametrize("case", ODD_BUT_HONEST)
def test_what_another_tar_packed_is_an_export(tmp_path, case):
    (tmp_path / "x.tar").write_bytes(ODD_BUT_HONEST[case] + bytes(1024))
    export = Export(tmp_path / "x.tar")
    assert export.has_blobs(export.results()[KEY])
    export.fetch("a" * 64, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"abc"


SPEC = "factory: 1\nname: x\nimports: [x.tar]\nstages:\n  drill: {kind: practice, count: 5}\n"


@pytest.mark.slow
@pytest.mark.parametrize("case", ["sparse GNU", "sparse PAX 1.0", "PAX header of 20 GB", "FIFO", "deep JSON"])
@pytest.mark.parametrize("command", [["plan", "spec.yaml"], ["import", "x.tar"]], ids=lambda command: command[0])
def test_a_command_refuses_it_in_little_memory(tmp_path, case, command):
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "x.tar").write_bytes(ARCHIVES[case])
    limit = 4 << 30
    ran = subprocess.run(
        [sys.executable, "-m", "astro_factory", *command, "--store", "store"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert ran.returncode == 2 and "E130 'x.tar' is not a store export" in ran.stderr
    assert "Traceback" not in ran.stderr and not list(tmp_path.glob("store/blobs/*"))
