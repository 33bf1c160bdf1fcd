"""The journal of a build: what it keeps, and that it never disturbs the build."""

import io
import json

import pytest

from astro_factory.runtime.journal import Journal, find_builds, journal_path, open_journal
from astro_factory.store import Store
from tests.cli.test_terminal import FAILED, START, planned


def test_progress_is_thinned_and_the_last_one_kept():
    file = io.StringIO()
    journal = Journal(file)
    for done in range(10_001):
        journal("a", {"event": "progress", "done": done, "total": 10_000, "unit": "steps", "figures": {}})
    journal("a", {"event": "spent", "tokens": 1, "calls": 1})
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert (
        101 <= len(lines) < 1_000 and lines[-1]["done"] == 10_000 and {line["event"] for line in lines} == {"progress"}
    )


@pytest.mark.parametrize(
    ("event", "raised", "ending"),
    [(START, None, "finished"), (FAILED, None, "failed"), (START, KeyboardInterrupt, "interrupted")],
)
def test_the_last_line_is_how_the_build_ended(tmp_path, event, raised, ending):
    store = Store(tmp_path / "store")
    spec = tmp_path / "x.yaml"

    def build() -> None:
        with store.building() as number, open_journal(store, number) as journal:
            journal.plan(planned("a") | {"path": str(spec)})
            readers.update(find_builds(store, spec))
            journal("a", event)
            if raised:
                raise raised

    readers: dict = {}
    if raised:
        with pytest.raises(raised):
            build()
    else:
        build()
    (reader,) = readers.values()
    assert [line["event"] for line in reader.read()] == ["plan", event["event"], "ended"] and reader.ending == ending
    assert find_builds(store, spec) == {}


def test_a_journal_that_cannot_be_written_stops_quietly(tmp_path):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    journal = Journal(Full())
    journal.plan(planned("a"))
    journal("a", START)
    journal.end()
    with open_journal(Store(tmp_path), "") as journal:
        journal("a", START)
    assert not (tmp_path / "builds").exists()


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path):
    store = Store(tmp_path)
    with store.building() as number, open_journal(store, number):
        left = journal_path(store, "dead")
        left.write_text("{")
        (left.parent / "alive.jsonl").touch()
        assert find_builds(store, tmp_path / "x.yaml") == {}
        with store.building() as other, open_journal(store, other):
            assert {path.stem for path in left.parent.iterdir()} == {number, other}
