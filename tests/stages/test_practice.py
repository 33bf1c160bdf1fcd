from pathlib import Path

import pytest
from pydantic import ValidationError

from astro_factory.core.config import semantic_values
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
        self.points, self.lines = [], []

    def progress(self, done, total, unit="", **figures):
        self.points.append((done, total, unit))

    def metric(self, step, values):
        pass

    def log(self, text):
        self.lines.append(text)


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


def of_sorting(**fields):
    return Config(kind="practice", **{"count": 40, "domain": "sorting", "sizes": [4], **fields})


def test_a_domain_is_practised_by_its_own_skills(tmp_path):
    run(of_sorting(), tmp_path / "a")
    rows = read_table(tmp_path / "a" / "dialogues.parquet")
    assert {row["skill"] for row in rows} == {"solve", "attempt", "series", "smaller"}
    assert make_document(of_sorting(), 7) == make_document(of_sorting(count=8), 7)
    assert of_sorting().key_additions() == {"domain": "sorting 1"}


def test_keys_of_countdown_know_nothing_of_other_domains():
    assert config().key_additions() == {}
    assert semantic_values(config()).keys() == {
        "budget", "count", "domain", "grace_s", "heartbeat_s", "kind", "max_value", "number_range", "numbers", "seed",
        "skills", "target_range",
    } - {"budget", "grace_s", "heartbeat_s"}  # fmt: skip


WRONG = [
    ({"domain": "sortng"}, "unknown domain 'sortng'; did you mean 'sorting'?"),
    ({"sizes": {}}, "'sorting' needs sizes from 2 to 12"),
    ({"numbers": [4]}, "'numbers' is a rule of countdown; 'sorting' has 'sizes'"),
    ({"skills": {"atempt": 1}}, "sorting has no skill 'atempt'; did you mean 'attempt'"),
    ({"domain": "countdown"}, "'sizes' is for other domains; countdown has 'numbers'"),
]


@pytest.mark.parametrize(("fields", "message"), WRONG)
def test_fields_of_another_domain_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        of_sorting(**fields)


def test_buckets_without_a_puzzle_end_in_an_error(monkeypatch):
    monkeypatch.setattr(practice, "_PATIENCE", 50)
    monkeypatch.setattr(practice, "is_drawn", lambda *_: False)
    with pytest.raises(UserError) as error:
        make_document(of_sorting(), 0)
    assert [found.code for found in error.value.diagnostics] == ["E412"]
