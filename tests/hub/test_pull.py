"""Pulling: what arrives is what was published, or a text says why not."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_factory.core.errors import UserError
from astro_factory.hub.destinations import FileDestination, HubDestination
from astro_factory.hub.layout import MANIFEST, FileEntry, Manifest, Payload, seal
from astro_factory.hub.pull import pull
from tests.hub.artifacts import make_provenance
from tests.hub.server import STRANGER, Stored


@pytest.fixture
def files(tmp_path):
    data = {"README.md": b"# card\n", "data/t/traces.parquet": b"rows" * 1000, "data/t/note.txt": b""}
    payloads = {path: Payload.of(content) for path, content in data.items()}
    return seal(payloads, make_provenance(tmp_path / "provenance"), {"t": "00"})


@pytest.fixture
def published(hub, files):
    HubDestination("org/traces", "dataset", private=True).publish(files, "m")
    return hub.repo("org/traces")


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def same(folder, files) -> bool:
    return contents(folder) == {path: file.read() for path, file in files.items()}


@pytest.mark.parametrize("source", ["org/traces", "hub:org/traces", "hub:datasets/org/traces", "org/traces@main"])
def test_pull_from_the_hub(hub, published, files, tmp_path, source):
    target = tmp_path / "here"
    found = pull(source, target)
    assert same(target, files) and found.changed
    assert found.source == f"org/traces@{published.head.oid}" and found.artifacts == ("t",)
    assert set(found.files) == set(files) and found.size == sum(file.size for file in files.values())
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name or p.name.startswith(".here")] == []
    seen = len(hub.requests)
    assert not pull(source, target).changed and same(target, files)
    assert not any("traces.parquet" in line for line in hub.requests[seen:]), "nothing is loaded twice"


def test_pull_of_a_revision(published, files, tmp_path, golden):
    old = published.head.oid
    changed = files | {"data/t/note.txt": Payload.of(b"new")}
    published.add(
        "newer", {**published.head.files, "data/t/note.txt": Stored(changed["data/t/note.txt"].read(), False)}
    )
    pull(f"hub:org/traces@{old}", tmp_path / "here")
    assert same(tmp_path / "here", files)
    with pytest.raises(UserError, match="E716") as caught:
        pull("org/traces", tmp_path / "newer")
    golden(str(caught.value))
    with pytest.raises(UserError, match="E706") as caught:
        pull("org/traces@v9", tmp_path / "x")
    golden(str(caught.value))


def test_pull_of_a_model_and_of_a_name_that_is_both(hub, published, tmp_path, golden):
    files = seal({"model.safetensors": Payload.of(b"weights")}, tmp_path / "provenance", {"rl": "00"})
    HubDestination("org/net", "model", private=True).publish(files, "m")
    pull("org/net", tmp_path / "net")
    assert same(tmp_path / "net", files)
    HubDestination("org/traces", "model", private=True).publish(files, "m")
    with pytest.raises(UserError, match="E715") as caught:
        pull("org/traces", tmp_path / "x")
    golden(str(caught.value))
    pull("hub:models/org/traces", tmp_path / "x")


def test_pull_from_a_folder(files, tmp_path):
    FileDestination(tmp_path / "there").publish(files)
    found = pull(f"file:{tmp_path}/there", tmp_path / "here")
    assert same(tmp_path / "here", files) and same(tmp_path / "there", files) and found.changed
    again = pull(f"file:{tmp_path}/there", tmp_path / "here").as_json()
    assert not again["changed"] and json.loads(json.dumps(again))["target"] == str(tmp_path / "here")


def test_newer_pull_replaces_but_keeps_what_was_added_by_hand(files, tmp_path):
    there = FileDestination(tmp_path / "there")
    there.publish(files)
    pull(f"file:{tmp_path}/there", tmp_path / "here")
    (tmp_path / "here/notes.md").write_text("mine")
    newer = dict(files)
    newer.pop("data/t/note.txt")
    newer = seal({p: f for p, f in newer.items() if not p.startswith("astro/")}, tmp_path / "provenance", {"t": "01"})
    there.publish(newer)
    pull(f"file:{tmp_path}/there", tmp_path / "here")
    assert set(contents(tmp_path / "here")) == {*newer, "notes.md"}


def test_damaged_folder(files, tmp_path, golden):
    FileDestination(tmp_path / "there").publish(files)
    (tmp_path / "there/data/t/traces.parquet").write_bytes(b"rotten")
    (tmp_path / "there/README.md").unlink()
    with pytest.raises(UserError, match="E716") as caught:
        pull(f"file:{tmp_path}/there", tmp_path / "here")
    golden(str(caught.value))
    assert not (tmp_path / "here").exists()


def test_damaged_repository_leaves_nothing(published, tmp_path, golden):
    files = {**published.head.files, "data/t/traces.parquet": Stored(b"rots" * 1000, lfs=True)}
    published.add("bit rot", files)
    with pytest.raises(UserError, match="E716") as caught:
        pull("org/traces", tmp_path / "here")
    golden(str(caught.value))
    assert not [path for path in tmp_path.iterdir() if "here" in path.name]


def test_target_that_holds_other_things(files, tmp_path, golden):
    FileDestination(tmp_path / "there").publish(files)
    (tmp_path / "here").mkdir()
    (tmp_path / "here/thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="E708") as caught:
        pull(f"file:{tmp_path}/there", tmp_path / "here")
    golden(str(caught.value))
    assert contents(tmp_path / "here") == {"thesis.tex": b"mine"}


def test_missing_and_closed_repositories(hub, published, tmp_path, monkeypatch, golden):
    with pytest.raises(UserError, match=r"E703 .*org/nothing"):
        pull("org/nothing", tmp_path / "x")
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    with pytest.raises(UserError, match="E703") as caught:
        pull("org/traces", tmp_path / "x")
    golden(str(caught.value))


def test_repository_that_is_no_publication(hub, tmp_path, golden):
    hub.create("org/csv", **{"train.csv": b"a,b\n"})
    with pytest.raises(UserError, match="E717") as caught:
        pull("org/csv", tmp_path / "x")
    golden(str(caught.value))
    (tmp_path / "plain").mkdir()
    for folder in ("plain", "absent"):
        with pytest.raises(UserError, match="E717"):
            pull(f"file:{tmp_path}/{folder}", tmp_path / "x")


@pytest.mark.parametrize("source", ["name", "a/b/c", "hub:org/--x", "https://huggingface.co/org/x", "hub:"])
def test_source_that_is_no_name(source, tmp_path, golden):
    with pytest.raises(UserError, match="E714") as caught:
        pull(source, tmp_path / "x")
    golden(str(caught.value))


@pytest.mark.slow
def test_pull_by_another_process(hub, published, files, tmp_path):
    """With nothing but the environment that a user sets."""
    code = "import sys; from pathlib import Path; from astro_factory.hub.pull import pull; pull(sys.argv[1], Path('x'))"
    environment = {**os.environ, **hub.environment(tmp_path / "home"), "PYTHONPATH": os.getcwd()}
    subprocess.run([sys.executable, "-c", code, "org/traces"], cwd=tmp_path, env=environment, check=True)
    assert same(tmp_path / "x", files)


def test_servers_that_stumble_are_waited_for(hub, published, files, naps, tmp_path):
    hub.fail("GET", "/api/datasets/org/traces", status=503)
    hub.fail("GET", "/resolve/", status=429, headers={"Retry-After": "3"})
    pull("org/traces", tmp_path / "here")
    assert same(tmp_path / "here", files) and naps


def test_server_that_is_down(hub, published, naps, tmp_path, golden):
    hub.fail("GET", "/api/", status=503, times=99)
    with pytest.raises(UserError, match="E704") as caught:
        pull("org/traces", tmp_path / "here")
    golden(str(caught.value))


def test_interrupted_download_resumes(hub, published, files, naps, tmp_path):
    hub.fail("GET", "traces.parquet", status=503, times=99)
    with pytest.raises(UserError, match="E704"):
        pull("org/traces", tmp_path / "here")
    assert not (tmp_path / "here").exists()
    hub.faults.clear()
    cards = hub.count("GET", "README.md")
    pull("org/traces", tmp_path / "here")
    assert same(tmp_path / "here", files)
    assert hub.count("GET", "README.md") == cards, "what had arrived is not loaded again"


ESCAPES = ["../evil", "/etc/passwd", "a/../../b", "a//b", "./a", "", "a\\b", ".git/hooks/post-checkout", "a/", "x\0"]


@pytest.mark.parametrize("path", ESCAPES)
def test_manifest_cannot_write_outside(path, tmp_path, golden):
    folder = tmp_path / "there/astro"
    folder.mkdir(parents=True)
    entry = {"sha256": "0" * 64, "size": 1}
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "artifacts": {}, "files": {path: entry}}))
    with pytest.raises(UserError, match="E712") as caught:
        pull(f"file:{tmp_path}/there", tmp_path / "here")
    golden(str(caught.value))
    assert not (tmp_path / "here").exists()


BROKEN = [
    b"",
    b"[]",
    b"{",
    b'{"format": 2, "files": {}, "artifacts": {}}',
    b'{"format": 1, "files": {"a": 3}}',
    b"\xff",
]


@pytest.mark.parametrize("data", BROKEN)
def test_manifest_that_cannot_be_read(data, golden):
    with pytest.raises(UserError, match="E711") as caught:
        Manifest.parse(data, "org/x")
    golden(str(caught.value))


@pytest.mark.slow
@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5}){0,2}\.x", fullmatch=True), st.binary(max_size=20)))
def test_manifest_names_every_file(tmp_path_factory, contents):
    empty = tmp_path_factory.mktemp("provenance")
    sealed = seal({path: Payload.of(data) for path, data in contents.items()}, empty, {})
    manifest = Manifest.parse(sealed[MANIFEST].read(), "x")
    assert {**manifest.files} == {p: FileEntry(sha256=Payload.of(d).sha256, size=len(d)) for p, d in contents.items()}
    again = seal({path: Payload.of(data) for path, data in reversed(contents.items())}, empty, {})
    assert again[MANIFEST].read() == sealed[MANIFEST].read()
