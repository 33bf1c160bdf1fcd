from pathlib import Path

import pytest
from pydantic import ValidationError

from astro_factory.core.context import Events, Items, StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.tables import read_table
from astro_factory.stages import documents, practice
from astro_factory.stages.practice import Config, make_document


class NoItems(Items):
    def get(self, key):
        return None

    def put(self, key, value):
        pass


class Recorded(Events):
    def __init__(self):
        self.points = []

    def progress(self, done, total, unit="", **figures):
        self.points.append((done, total, unit))

    def metric(self, step, values):
        pass

    def log(self, text):
        pass


def config(**fields):
    return Config(kind="practice", **{"count": 400, "numbers": [3, 4], **fields})


def run(config, out: Path):
    out.mkdir()
    events = Recorded()
    practice.run(StageContext("s", {}, {}, out, out, NoItems(), events), config)
    return events


def test_writes_dialogues_in_the_configured_mix(tmp_path):
    run(config(), tmp_path / "a")
    rows = read_table(tmp_path / "a" / "dialogues.parquet")
    assert len(rows) == len({row["id"] for row in rows}) == 400
    skills = [row["skill"] for row in rows]
    assert 150 < skills.count("solve") < 250
    assert set(skills) == {"solve", "attempt", "series", "check", "arithmetic"}
    assert all([message["role"] for message in row["messages"]] == ["user", "assistant"] for row in rows)


def test_writes_the_same_bytes_twice(tmp_path):
    run(config(), tmp_path / "a")
    run(config(), tmp_path / "b")
    assert (tmp_path / "a/dialogues.parquet").read_bytes() == (tmp_path / "b/dialogues.parquet").read_bytes()


def test_reports_its_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "_REPORT_EVERY", 100)
    events = run(config(), tmp_path / "a")
    assert events.points == [(n, 400, "documents") for n in (100, 200, 300, 400)]


def test_a_document_does_not_depend_on_how_many_there_are():
    assert make_document(config(), 7) == make_document(config(count=8), 7)
    assert make_document(config(), 7) != make_document(config(seed=1), 7)


def test_a_skill_without_weight_is_not_practised():
    only = config(skills={"check": 1, "solve": 0})
    assert {make_document(only, index)["skill"] for index in range(50)} == {"check"}


@pytest.mark.parametrize("skills", [{}, {"solve": -1, "check": 2}, {"solve": 0}])
def test_wrong_weights_are_refused(skills):
    with pytest.raises(ValidationError, match="needs at least one skill"):
        config(skills=skills)


def test_rules_that_allow_nothing_end_in_an_error(monkeypatch, golden):
    monkeypatch.setattr(practice, "_PATIENCE", 50)
    impossible = config(skills={"solve": 1}, numbers=[2], number_range=(1, 1))
    with pytest.raises(UserError, match="E412") as error:
        make_document(impossible, 0)
    golden(str(error.value))
