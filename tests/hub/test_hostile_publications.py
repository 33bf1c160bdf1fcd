"""Publications and caches that a stranger has prepared: each is refused with one line, and nothing is written."""

import json
import os
import re
from pathlib import Path

import pytest

from astro_factory.core.canonical import digest
from astro_factory.core.errors import UserError
from astro_factory.core.results import Result
from astro_factory.core.tables import write_table
from astro_factory.hub.card_text import plain
from astro_factory.hub.cards import Labels, dataset_card, published_tables
from astro_factory.hub.destinations import FileDestination
from astro_factory.hub.layout import MANIFEST, Payload, seal
from astro_factory.hub.provenance import Provenance
from astro_factory.hub.publication_cache import PublishedFolder
from astro_factory.hub.pull import pull
from astro_factory.store import Store
from astro_factory.store.remotes import RemoteStore
from astro_factory.traces.trace_table import trace_schema
from tests.core.test_file_names import REFUSED, TOGETHER
from tests.hub.artifacts import make_data, make_provenance, trace

NAMES = [path for group in REFUSED.values() for path in group if "\ud800" not in path]
"""JSON cannot carry a lone surrogate through Pydantic; that manifest is E711."""
ZEROS = "0" * 64


@pytest.fixture
def published(tmp_path) -> Path:
    """A `file:` publication, to be damaged."""
    data = {"README.md": b"# card\n", "data/t/traces.parquet": b"rows" * 1000}
    files = {path: Payload.of(content) for path, content in data.items()}
    FileDestination(tmp_path / "there").publish(seal(files, make_provenance(tmp_path / "provenance"), {"t": "00"}))
    return tmp_path / "there"


def write_manifest(folder: Path, files: object) -> None:
    (folder / "astro").mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_text(json.dumps({"format": 1, "artifacts": {}, "files": files}))


def refused(folder: Path, code: str) -> str:
    """Pull a folder that must be refused; returns the error's text."""
    target = folder.parent / "here"
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(UserError, match=code) as caught:
        pull(f"file:{folder}", target)
    assert not target.exists() and sorted(folder.parent.rglob("*")) == before
    text = str(caught.value)
    assert text.isprintable() and len(text) < 1000
    return text


@pytest.mark.parametrize("path", NAMES, ids=ascii)
def test_a_manifest_with_an_unsafe_name_is_refused(tmp_path, path):
    write_manifest(tmp_path / "there", {path: {"sha256": ZEROS, "size": 1}})
    refused(tmp_path / "there", "E712")


@pytest.mark.parametrize("group", [*TOGETHER, "the manifest itself"])
def test_a_manifest_with_colliding_names_is_refused(tmp_path, group):
    paths = TOGETHER.get(group, ["ASTRO/Manifest.json"])
    write_manifest(tmp_path / "there", {path: {"sha256": ZEROS, "size": 1} for path in paths})
    refused(tmp_path / "there", "E712")


MANIFESTS = {
    "deep": b'{"format": 1, "artifacts": {}, "files": ' + b'{"a":' * 100_000,
    "deep list": b"[" * 1_000_000,
    "infinite size": b'{"format": 1, "artifacts": {}, "files": {"a": {"sha256": "%s", "size": Infinity}}}',
    "size of 1e999": b'{"format": 1, "artifacts": {}, "files": {"a": {"sha256": "%s", "size": 1e999}}}',
    "size is text": b'{"format": 1, "artifacts": {}, "files": {"a": {"sha256": "%s", "size": "1"}}}',
    "size is true": b'{"format": 1, "artifacts": {}, "files": {"a": {"sha256": "%s", "size": true}}}',
    "huge number": b'{"format": 1, "artifacts": {}, "files": {"a": {"sha256": "%s", "size": ' + b"9" * 5000 + b"}}}",
    "surrogate": b'{"format": 1, "artifacts": {}, "files": {"\\ud800": {"sha256": "%s", "size": 1}}}',
    "no format": b'{"artifacts": {}, "files": {}}',
    "no artifacts": b'{"format": 1, "files": {}}',
    "files is a list": b'{"format": 1, "artifacts": {}, "files": [1]}',
    "not UTF-8": b"\xff\xfe",
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_malformed_manifest_is_refused(tmp_path, case):
    (tmp_path / "there/astro").mkdir(parents=True)
    (tmp_path / "there" / MANIFEST).write_bytes(MANIFESTS[case].replace(b"%s", ZEROS.encode()))
    refused(tmp_path / "there", "E711")


@pytest.mark.parametrize(("sha256", "size"), [("xyz", 1), (ZEROS, -1), (ZEROS, 1 << 63)])
def test_an_impossible_digest_or_size_is_refused(tmp_path, sha256, size):
    write_manifest(tmp_path / "there", {"a": {"sha256": sha256, "size": size}})
    refused(tmp_path / "there", "E712")


def test_links_are_not_followed(published, tmp_path):
    secret = tmp_path / "secret"
    (published / "data/t/traces.parquet").rename(secret)
    (published / "data/t/traces.parquet").symlink_to(secret)
    assert "data/t/traces.parquet" in refused(published, "E716")


def test_linked_folders_are_not_followed(published, tmp_path):
    (published / "data").rename(tmp_path / "elsewhere")
    (published / "data").symlink_to(tmp_path / "elsewhere")
    assert "data/t/traces.parquet" in refused(published, "E716")


def test_a_linked_or_special_manifest_is_no_manifest(published, tmp_path):
    (published / MANIFEST).rename(tmp_path / "manifest.json")
    (published / MANIFEST).symlink_to(tmp_path / "manifest.json")
    refused(published, "E717")
    (published / MANIFEST).unlink()
    os.mkfifo(published / MANIFEST)
    refused(published, "E717")


def reseal(folder: Path, path: str, data: bytes) -> None:
    """Replace a file of a publication, manifest included, as its owner could."""
    (folder / path).write_bytes(data)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][path] = {"sha256": Payload.of(data).sha256, "size": len(data)}
    (folder / MANIFEST).write_text(json.dumps(manifest))


RECORDS = {
    "another key": lambda entry: json.dumps(entry | {"key": "1" * 64}),
    "another record": lambda entry: json.dumps(entry | {"record": entry["record"] | {"version": 9}}),
    "no record": lambda entry: json.dumps({"key": entry["key"]}),
    "a list": lambda entry: "[]",
    "no JSON": lambda entry: "{",
    "deep": lambda entry: "[" * 200_000,
    "deep record": lambda entry: '{"record": ' + '{"a":' * 100_000,
    "Infinity": lambda entry: json.dumps(entry).replace("1", "Infinity", 1),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_record_under_another_key_is_refused(published, case):
    record = next((published / "astro/records").glob("*.json"))
    data = RECORDS[case](json.loads(record.read_text())).encode()
    reseal(published, f"astro/records/{record.name}", data)
    assert record.name in refused(published, "E712")
    with pytest.raises(ValueError):
        PublishedFolder("file:there", published).result(record.stem)


def result_file(**changes: object) -> bytes:
    record = {"kind": "x", "version": 1}
    fields = {"key": digest(record), "record": record, "outputs": {}, "provenance": {}}
    return json.dumps(fields | changes).encode()


OUTPUTS = {
    **{ascii(path): {path: {"sha256": ZEROS, "size": 1}} for path in NAMES},
    **{group: {path: {"sha256": ZEROS, "size": 1} for path in paths} for group, paths in TOGETHER.items()},
    "no digest": {"a": {"sha256": "x", "size": 1}},
    "no size": {"a": {"sha256": ZEROS}},
    "negative size": {"a": {"sha256": ZEROS, "size": -1}},
    "size is true": {"a": {"sha256": ZEROS, "size": True}},
    "text": "a",
    "list": ["a"],
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_a_result_with_unsafe_outputs_is_not_believed(case):
    """Results come from caches, store exports and stores elsewhere through this one function."""
    with pytest.raises(ValueError):
        Result.from_json(result_file(outputs=OUTPUTS[case]))


@pytest.mark.parametrize("part", ["record", "outputs", "provenance"])
@pytest.mark.parametrize("value", ["text", [], [1], 1, None])
def test_parts_of_a_result_are_objects(part, value):
    changes = {part: value} | ({"key": digest(value)} if part == "record" else {})
    with pytest.raises(ValueError):
        Result.from_json(result_file(**changes))


@pytest.mark.parametrize("data", [b"", b"[]", b"[" * 200_000, b'{"record": ' + b'{"a":' * 100_000, b"\xff", b"null"])
def test_what_is_no_result_is_not_believed(data):
    with pytest.raises(ValueError):
        Result.from_json(data)


@pytest.mark.parametrize("case", OUTPUTS)
def test_a_cache_does_not_offer_unsafe_outputs(case, tmp_path):
    data = result_file(outputs=OUTPUTS[case])
    key = json.loads(data)["key"]
    store = Store(tmp_path / "theirs")
    place = tmp_path / "theirs" / store.result_path(key).relative_to(store.root)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    with pytest.raises(ValueError):
        RemoteStore(f"file:{tmp_path}/theirs").result(key)


MARKUP = "<script>x</script> [click](http://x) | `code` # **b**\n## heading\n\x1b[2J\u202e~~~ ![i](x) $m$"


def test_cards_escape_what_models_and_problem_sets_wrote(tmp_path):
    data = make_data(tmp_path / "data")
    row = trace(0, 1)
    row["messages"][1]["content"] = MARKUP
    write_table(data["traces"] / "traces.parquet", [row], trace_schema())
    labels = Labels("org/x", "mit")
    card = dataset_card(
        labels, list(data), published_tables(data), Provenance.read(make_provenance(tmp_path / "provenance"))
    )
    assert "\x1b" not in card and "\u202e" not in card
    fence = re.search(r"^(~{3,})text$", card, re.MULTILINE)[1]
    example = re.search(rf"^{fence}text\n[^~]*?(<script>.*?)^{fence}$", card, re.MULTILINE | re.DOTALL)
    assert example and fence not in example[1], "markup stays inside the fence"
    assert "<script>" not in card.replace(example[0], "")


def test_plain_text_has_no_markup():
    text = plain(MARKUP)
    assert "\n" not in text and "\x1b" not in text
    assert not re.search(r"(?<!\\)[<>\[\]|`#*_$~&]", text)
    assert len(plain("x" * 10_000)) == 200
