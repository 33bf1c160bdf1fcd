"""Caches that a stranger has prepared: a hit that cannot be used costs one warning, and its stage runs here."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from astro_factory.core.canonical import digest
from astro_factory.core.dialogues import dialogue_schema
from astro_factory.core.errors import UserError
from astro_factory.core.plans import Import, Plan, ToRun
from astro_factory.core.results import Result
from astro_factory.core.tables import write_table
from astro_factory.hub.layout import MANIFEST
from astro_factory.hub.publication_cache import open_cache
from astro_factory.plan import make_plan
from astro_factory.plan.building import build_graph
from astro_factory.runtime import BuildOptions
from astro_factory.spec import compile_spec
from astro_factory.stages.validation import output_fault
from astro_factory.store import Store
from astro_factory.store.caches import Cache
from astro_factory.store.fsck import fsck
from astro_factory.store.remotes import RemoteStore
from astro_factory.store.transfer import import_result

SPEC = "factory: 1\nname: small\nstages:\n  drill: {kind: practice, count: 5}\n"


class Place:
    """A spec with one stage, and a cache that offers a result for it."""

    def __init__(self, folder: Path):
        self.spec, self.ours, self.theirs = folder / "spec.yaml", Store(folder / "ours"), Store(folder / "theirs")
        self.spec.write_text(SPEC)
        self.warnings: list[str] = []
        self.item = make_plan(compile_spec(self.spec), self.ours).nodes["drill"]
        self.cache = Cache(RemoteStore(f"file:{self.theirs.root}"), self.warnings.append)

    def offer(self, files: dict[str, bytes], **changes: object) -> Path:
        """Put a result with these files in the cache; `changes` are parts of the result's file. Returns the file."""
        outputs = {}
        for number, (name, data) in enumerate(files.items()):
            path = self.theirs.root / f"{number}"
            path.parent.mkdir(exist_ok=True)
            path.unlink(missing_ok=True)  # the blob of an earlier offer is a link to it
            path.write_bytes(data)
            outputs[name] = {"sha256": self.theirs.add_blob(path), "size": len(data)}
        fields = {"key": self.item.key, "record": self.item.record, "outputs": outputs, "provenance": {}}
        path = self.theirs.result_path(self.item.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(fields | changes))
        return path

    def plan(self) -> Plan:
        return make_plan(compile_spec(self.spec), self.ours, caches=[self.cache])

    def build(self):
        options = BuildOptions(jobs=1, caches=(self.cache,))
        return build_graph(compile_spec(self.spec), self.ours, options, lambda *_: nullcontext(lambda *event: None))


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def table(tmp_path) -> bytes:
    write_table(tmp_path / "table", [{"id": "0", "skill": "x", "messages": []}], dialogue_schema())
    return (tmp_path / "table").read_bytes()


ENTRY = {"sha256": "a" * 64, "size": 1}
OFFERED: dict[str, dict[str, object]] = {
    "no outputs": {"outputs": {}},
    "other names": {"outputs": {"a": ENTRY}},
    "dot": {"outputs": {".": ENTRY}},
    "file and folder": {"outputs": {"dialogues.parquet": ENTRY, "dialogues.parquet/x": ENTRY}},
    "300 characters": {"outputs": {"dialogues.parquet": ENTRY, "x" * 300: ENTRY}},
    "git": {"outputs": {"dialogues.parquet": ENTRY, "a/.GIT/config": ENTRY}},
    "two sizes": {"outputs": {"dialogues.parquet": ENTRY, "b": ENTRY | {"size": 2}}},
    "provenance is text": {"provenance": "mine"},
    "provenance is a list": {"provenance": []},
    "versions is text": {"provenance": {"versions": "1"}},
    "seconds is text": {"provenance": {"seconds": "1"}},
    "metrics of text": {"provenance": {"metrics": ["x"]}},
    "key that is not the record's digest": {"record": {"section": "stages", "kind": "practice"}},
    "another key": {"key": digest({"x": 1}), "record": {"x": 1}},
}


@pytest.mark.parametrize("case", OFFERED)
def test_a_hit_that_cannot_be_used_is_not_planned(place, table, case):
    place.offer({"dialogues.parquet": table}, **OFFERED[case])
    assert place.plan().counts() == place.plan().counts() == {"hit": 0, "run": 1, "pending": 0, "import": 0}
    (warning,) = place.warnings
    assert place.item.key[:12] in warning and warning.endswith("the stage runs here instead")
    assert warning.isprintable() and len(warning) < 500


SPECIAL: dict[str, Callable[[Path], None]] = {
    "FIFO": os.mkfifo,
    "folder": lambda path: path.mkdir(),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "100 MB": lambda path: path.write_bytes(b" " * (100 << 20)),
    "deep": lambda path: path.write_bytes(b"[" * 200_000),
}


@pytest.mark.parametrize("case", SPECIAL)
def test_what_is_no_result_does_not_stop_a_plan(place, table, case):
    path = place.offer({"dialogues.parquet": table})
    path.unlink()
    SPECIAL[case](path)
    assert place.plan().counts()["run"] == 1 and len(place.warnings) == 1


@pytest.mark.parametrize("case", ["FIFO", "folder", "device"])
def test_what_is_no_blob_is_not_read(place, case):
    place.offer({"dialogues.parquet": b""})
    blob = next((place.theirs.root / "blobs").glob("*/*"))
    blob.unlink()
    SPECIAL[case](blob)
    assert place.plan().counts()["run"] == 1


CONTENTS: dict[str, Callable[[bytes], dict[str, bytes]]] = {
    "not Parquet": lambda table: {"dialogues.parquet": b"rows"},
    "cut": lambda table: {"dialogues.parquet": table[:-9]},
    "another file that is not Parquet": lambda table: {"dialogues.parquet": table, "more.parquet": b"rows"},
}


@pytest.mark.parametrize("case", CONTENTS)
def test_files_that_cannot_be_read_are_not_admitted(place, table, case):
    place.offer(CONTENTS[case](table))
    item = place.plan().nodes["drill"]
    assert isinstance(item, Import)
    with pytest.raises(UserError, match="E177"):
        import_result(place.ours, place.cache, item.result, output_fault)
    assert place.plan().counts()["run"] == 1 and place.cache.failed_fetches == len(place.warnings) == 1
    assert not list(place.ours.root.glob("results/*/*")) and not list(place.ours.root.glob("blobs/*/*"))


def test_a_size_that_is_not_the_files_is_refused(place, table):
    path = place.offer({"dialogues.parquet": table})
    fields = json.loads(path.read_text())
    result = Result(
        **fields | {"outputs": {"dialogues.parquet": {"sha256": hashlib.sha256(table).hexdigest(), "size": 1}}}
    )
    with pytest.raises(UserError, match="E174"):
        import_result(place.ours, place.cache, result, output_fault)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["not Parquet", "cut"])
def test_a_build_makes_it_here_and_the_next_one_has_it(place, table, case):
    place.offer(CONTENTS[case](table))
    done = place.build()
    assert done.build.ok and done.build.outcomes == {"drill": "ran"} and len(place.warnings) == 1
    assert place.build().build.outcomes == {"drill": "hit"} and fsck(place.ours, output_fault).ok


def test_a_sound_hit_is_admitted(place, table):
    place.offer({"dialogues.parquet": table, "notes.txt": b"x"}, provenance={"source": "there"})
    done = place.build()
    assert done.build.outcomes == {"drill": "import"} and not place.warnings and fsck(place.ours, output_fault).ok


def test_a_cache_cannot_say_that_something_is_published(place, table):
    """Only this machine knows what it has published."""
    place.offer({"dialogues.parquet": table})
    place.spec.write_text(SPEC + "publish:\n  data: {repo: org/name, artifacts: [drill]}\n")
    place.item = place.plan().nodes["publish.data"]
    assert isinstance(place.item, ToRun)
    place.offer({"publication.json": b"{}"})
    plan = place.plan()
    assert isinstance(plan.nodes["drill"], Import) and isinstance(plan.nodes["publish.data"], ToRun)


def test_fsck_finds_what_an_earlier_version_admitted(place, table):
    """A result without the file of its type, and one whose table cannot be read; a repair lets the stage run again."""
    for files in ({"a": b"a"}, {"dialogues.parquet": b"rows"}):
        place.offer(files)
        (fault,) = fsck(place.theirs, output_fault).faults
        assert fault.kind == "result" and "cannot be used" in fault.cause
        assert fsck(place.theirs, output_fault, repair=True).ok and fsck(place.theirs, output_fault).ok
        assert make_plan(compile_spec(place.spec), place.theirs).counts()["run"] == 1
    path = place.offer({"dialogues.parquet": table}, provenance={"versions": "1"})
    assert "provenance" in fsck(place.theirs, output_fault, repair=True).faults[0].cause and not path.exists()


@pytest.mark.parametrize("case", ["FIFO", "device"])
def test_a_publication_with_special_files_does_not_hang(place, tmp_path, case):
    folder = tmp_path / "published"
    (folder / "astro/records").mkdir(parents=True)
    record = f"astro/records/{place.item.key}.json"
    SPECIAL[case](folder / record)
    files = {record: {"sha256": "a" * 64, "size": 0}}
    (folder / MANIFEST).write_text(json.dumps({"format": 1, "artifacts": {}, "files": files}))
    place.cache = Cache(open_cache(f"file:{folder}"), place.warnings.append)
    assert place.plan().counts()["run"] == 1 and len(place.warnings) == 1
