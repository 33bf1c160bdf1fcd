"""Names of files from strangers, and which of them are refused."""

import os

import pytest

from astro_factory.core.file_names import name_fault, names_fault, regular_file

GOOD = [
    "a",
    "a/b.parquet",
    ".gitattributes",
    "data/.github/x",
    "astro/records/0a.json",
    "é/日本.txt",
    "a b",
    "gitt",
    "x.git",
]
REFUSED = {
    "leaves its folder": ["../x", "a/../../x", "/etc/passwd", "..", "a/..", "\\x", "a\\..\\x", "C:/x", "c:x"],
    "empty component": ["", "a//b", "a/", "./a", "a/.", "."],
    "git": [".git", ".git/config", "data/.git/config", ".GIT/x", "a/.Git", ".g\u200cit/x", ".git ", ".git.", "GIT~1/x"],
    "git by full width": ["\uff0egit/x", ".g\uff49t/x"],
    "cache": [".cache/x", "a/.CACHE/x"],
    "device": ["con", "a/NUL", "aux.txt", "COM1", "lpt9.tar.gz", "COM\u00b9", "CONIN$"],
    "control": ["a\0", "a\nb", "a\x1b[2J", "a\x7f", "a\u202eb", "a\ud800", "a\u2028b"],
    "length": ["x" * 256, "é" * 128, "/".join(["x" * 200] * 6)],
    "not portable": ["a:b", "a?", "a*", "a.", "a ", "a<b", 'a"b', "a|b"],
}
TOGETHER = {
    "file and folder": ["a", "a/b"],
    "file and folder by case": ["A/b", "a"],
    "case": ["data/x.txt", "data/X.txt"],
    "case of a folder": ["data/x", "Data/y"],
    "normal forms": ["caf\u00e9", "cafe\u0301"],
    "sharp s": ["stra\u00dfe", "STRASSE"],
}


@pytest.mark.parametrize("path", GOOD)
def test_ordinary_names_pass(path):
    assert name_fault(path) is None and names_fault([path]) is None


@pytest.mark.parametrize("path", [path for group in REFUSED.values() for path in group], ids=ascii)
def test_dangerous_names_are_refused(path):
    assert name_fault(path)
    fault = names_fault([path])
    assert fault and fault.isprintable() and len(fault) < 250


@pytest.mark.parametrize("group", TOGETHER)
@pytest.mark.parametrize("order", [1, -1])
def test_names_that_collide_are_refused(group, order):
    assert not any(map(name_fault, TOGETHER[group]))
    assert names_fault(TOGETHER[group][::order])


def test_many_names_stand_together():
    assert names_fault([f"data/{i}/{j}.parquet" for i in range(50) for j in range(50)]) is None


def test_links_and_special_files_are_no_regular_files(tmp_path):
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "real/deep/x").write_text("x")
    (tmp_path / "file").symlink_to(tmp_path / "real/deep/x")
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    assert regular_file(tmp_path, "real/deep/x") == tmp_path / "real/deep/x"
    assert not any(
        regular_file(tmp_path, path) for path in ("file", "folder/deep/x", "pipe", "real", "none", "real/deep/x/y")
    )
