"""Data in the forms in which people have it: what is recognised, and what is proposed by name."""

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from astro_factory.core.config import semantic_values
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table
from astro_factory.stages.problems.file import Config, check, run
from astro_factory.stages.problems.hub import Config as HubConfig
from astro_factory.stages.problems.presets import PRESETS
from astro_factory.verifiers import get_verifier
from tests.stages.problems.test_file import build, fail
from tests.training.tiny import context

GSM8K = [
    {"question": f"{i} eggs and one more?", "answer": f"She has {i} + 1 = <<{i}+1={i + 1}>>{i + 1} eggs.\n#### {i + 1}"}
    for i in range(1, 30)
]
PLAIN = {"fields": {}}


def test_worked_solutions_are_recognised(tmp_path, golden):
    """One cause for all rows, and the remedy that reads them all."""
    text = fail("E424", tmp_path, GSM8K, **PLAIN)
    assert text.count("E424") == 1 and "`answer_form: solution`" in text and "and 24 more" in text
    golden(text)
    assert [p.answer for p in build(tmp_path, GSM8K, **PLAIN, answer_form="solution")][:2] == ["2", "3"]


def test_lists_with_one_answer_are_recognised(tmp_path, golden):
    rows = [{"question": f"{i}?", "answer": [str(i)]} for i in range(5)]
    text = fail("E424", tmp_path, rows, **PLAIN)
    assert "`answer_form: list`" in text
    golden(text)
    assert [p.answer for p in build(tmp_path, rows, **PLAIN, answer_form="list")] == list("01234")
    text = fail("E424", tmp_path, [{"question": "?", "answer": ["1", "2"]}], **PLAIN, answer_form="list")
    assert "a list of 2" in text


def test_plain_answers_that_are_no_lists_are_recognised(tmp_path):
    rows = [{"question": f"{i}?", "answer": i} for i in range(5)]
    assert "`answer_form: value`" in fail("E424", tmp_path, rows, **PLAIN, answer_form="list")


def test_what_no_form_explains_has_the_plain_remedy(tmp_path):
    rows = [{"question": "a?", "answer": "\\frac{"}, {"question": "b?", "answer": "1"}]
    assert "`unreadable: drop`" in fail("E424", tmp_path, rows, **PLAIN)


COLORS = ["red", "green", "blue"]
FORMS = {
    "position": ({"choices": COLORS, "answer": 1}, {"choices": "choices"}, {}),
    "position from 1": ({"choices": COLORS, "answer": 2}, {"choices": "choices"}, {"first_choice": 1}),
    "position as text": ({"choices": COLORS, "answer": "1"}, {"choices": "choices"}, {}),
    "letter": ({"choices": COLORS, "answer": "B"}, {"choices": "choices"}, {}),
    "letter in brackets": ({"choices": COLORS, "answer": "(b)"}, {"choices": "choices"}, {}),
    "text": ({"choices": COLORS, "answer": "green"}, {"choices": "choices"}, {}),
    "mapping": ({"choices": dict(zip("pqr", COLORS, strict=True)), "answer": "q"}, {"choices": "choices"}, {}),
    "labels": ({"choices": {"text": COLORS, "label": ["1", "2", "3"]}, "answer": "2"}, {"choices": "choices"}, {}),
    "columns": (dict(zip("XYZ", COLORS, strict=True)) | {"answer": "Y"}, {"choices": ["X", "Y", "Z"]}, {}),
    "columns by text": (
        {"right": "green", "w1": "red", "w2": "blue"},
        {"answer": "right", "choices": ["w1", "right", "w2"]},
        {},
    ),
}


@pytest.mark.parametrize(("row", "fields", "settings"), FORMS.values(), ids=FORMS)
def test_every_form_of_multiple_choice_gives_the_same_problem(tmp_path, row, fields, settings):
    (problem,) = build(tmp_path, [{"question": "Grass is?"} | row], fields=fields, **settings)
    assert problem.question == "Grass is?\n\n(A) red\n(B) green\n(C) blue"
    assert (problem.answer, problem.verifier) == ("B", "choice")
    assert problem.info == {"options": {"A": "red", "B": "green", "C": "blue"}}


WRONG_CHOICES = {
    "out of range": ({"choices": COLORS, "answer": 3}, "first_choice"),
    "no such text": ({"choices": COLORS, "answer": "pink"}, "none of the 3 options"),
    "empty": ({"choices": COLORS, "answer": None}, "the answer is empty"),
    "no list": ({"choices": "red, green", "answer": "A"}, "the options are a str"),
    "one": ({"choices": ["red"], "answer": "A"}, "there is 1 option"),
    "equal": ({"choices": ["red", "red"], "answer": "A"}, "two options are equal"),
}


@pytest.mark.parametrize(("row", "cause"), WRONG_CHOICES.values(), ids=WRONG_CHOICES)
def test_wrong_choices_are_reported(tmp_path, row, cause):
    assert cause in fail("E424", tmp_path, [{"question": "Grass is?"} | row], fields={"choices": "choices"})


def test_options_that_no_field_names_are_an_error(tmp_path, golden):
    """Without its options a multiple choice cannot be answered."""
    rows = [{"question": f"{i}?", "options": COLORS, "answer": "B"} for i in range(3)]
    golden(fail("E424", tmp_path, rows, **PLAIN))
    assert build(tmp_path, rows, fields={"info": ["options"]})[0].answer == "B"


def test_shuffled_options_keep_their_answer(tmp_path):
    rows = [{"question": f"{i}?", "choices": COLORS, "answer": 1} for i in range(60)]
    problems = build(tmp_path, rows, fields={"choices": "choices"}, shuffle_choices=7)
    assert all(problem.info["options"][problem.answer] == "green" for problem in problems)
    assert {problem.answer for problem in problems} == set("ABC")
    assert problems == build(tmp_path, rows[::-1], fields={"choices": "choices"}, shuffle_choices=7)[::-1]


ASKED = Problem("1", "?", "B", "choice", {"options": {"A": "12", "B": "3/4", "C": "the Sun"}})
RESPONSES = {
    r"\boxed{B}": "correct",
    "The answer is (B).": "correct",
    r"\boxed{0.75}": "correct",
    r"\boxed{\frac{3}{4}}": "correct",
    r"\boxed{(B) 3/4}": "correct",
    r"\boxed{A}": "incorrect",
    r"\boxed{the sun}": "incorrect",
    r"\boxed{D}": "incorrect",
    r"\boxed{7}": "incorrect",
    "I do not know": "no_answer",
}


@pytest.mark.parametrize(("response", "outcome"), RESPONSES.items())
def test_a_response_names_an_option_by_letter_or_text(response, outcome):
    assert str(get_verifier("choice").verify(ASKED, response).outcome) == outcome


TABLES = {
    "semicolons": "question;answer\n1,5 + 1?;2,5\n",
    "tabs": "question\tanswer\n1,5 + 1?\t2,5\n",
    "byte order mark": "\ufeffquestion;answer\n1,5 + 1?;2,5\n",
    "quoted header": '"question";"answer, known"\n1,5 + 1?;2,5\n',
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_delimiters_are_detected_and_reported(tmp_path, text):
    answer = {"answer": "answer, known"} if "known" in text else {}
    (problem,) = build(tmp_path, text, "p.csv", fields=answer)
    assert (problem.question, problem.answer) == ("1,5 + 1?", "2,5")
    assert any("separated by" in line for line in build.log)


def test_encodings(tmp_path):
    text = "question,answer\nWie groß ist 1?,1\n"
    for encoding, stated in (("utf-16", ""), ("cp1252", "cp1252"), ("utf-8", "")):
        folder = tmp_path / encoding
        folder.mkdir()
        (folder / "p.csv").write_bytes(text.encode(encoding))
        assert read_one(folder, encoding=stated).question == "Wie groß ist 1?"
    with pytest.raises(Exception, match=r"E427.*cp1252"):
        read_one(tmp_path / "cp1252")


def read_one(folder: Path, **settings) -> Problem:
    ctx = context(folder / "run", {"p.csv": folder / "p.csv"})
    run(ctx, Config(kind="file", path="p.csv", **settings))
    return Problem.from_row(read_table(ctx.out / "problems.parquet")[0])


def test_half_characters_and_repeated_keys_are_errors_with_their_line(tmp_path):
    good = json.dumps({"question": "1?", "answer": "1"})
    text = fail("E424", tmp_path, good + '\n{"question": "\\ud800 2?", "answer": "2"}\n', **PLAIN)
    assert "\\ud800" in text and "line 2" in text
    text = fail("E427", tmp_path, good + '\n{"question": "a", "answer": "1", "answer": "2"}\n', **PLAIN)
    assert "p.jsonl:2:1" in text and "'answer' is there twice" in text
    assert "'a' twice" in fail("E427", tmp_path, "a,a\n1,2\n", "p.csv", **PLAIN)


def test_columns_that_are_not_used_are_named(tmp_path):
    build(tmp_path, [{"question": "1?", "answer": "1", "source": "s", "hint": "h"}], **PLAIN)
    assert build.log[0] == "p.jsonl: columns that are not used: source, hint"


def test_presets_fill_in_what_is_not_written():
    hub = HubConfig(kind="hub", preset="gsm8k", limit=5)
    assert (hub.repo, hub.config, hub.split, hub.answer_form) == ("openai/gsm8k", "main", "test", "solution")
    assert HubConfig(kind="hub", preset="gsm8k", split="train").split == "train"
    mine = Config(kind="file", path="p.jsonl", preset="math", fields={"level": "type"})
    assert (mine.fields.question, mine.fields.level, mine.answer_form) == ("problem", "type", "solution")
    assert Config(kind="file", path="p.jsonl", preset="gpqa").verifier == "choice"
    with pytest.raises(ValidationError, match="did you mean 'gsm8k'"):
        HubConfig(kind="hub", preset="gsm8")
    with pytest.raises(ValidationError, match="names no dataset"):
        HubConfig(kind="hub")


def test_a_preset_is_its_fields(tmp_path):
    """A spec with a preset and one that writes its fields out have the same key."""
    written = Config(kind="file", path="p.jsonl", answer_form="solution")
    assert semantic_values(Config(kind="file", path="p.jsonl", preset="gsm8k")) == semantic_values(written)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_valid_source(name):
    assert HubConfig(kind="hub", preset=name).repo == PRESETS[name].repo


DATA = os.environ.get("ASTRO_TEST_DATA", "")
FILES = {"gsm8k_test": ("gsm8k", 1319), "math500": ("math500", 500), "math_train": ("math", 7500)}


@pytest.mark.skipif(not DATA, reason="ASTRO_TEST_DATA names no folder of real problem sets")
@pytest.mark.parametrize("name", FILES)
def test_real_sets(tmp_path, name):
    preset, rows = FILES[name]
    path = Path(DATA) / f"{name}.jsonl"
    text = path.read_text(encoding="utf-8")
    has = json.loads(text.partition("\n")[0])
    known = Config(kind="file", path="p.jsonl", preset=preset).fields
    fields = {column: "" for column in ("id", "level") if getattr(known, column) not in has}
    problems = build(tmp_path, text, preset=preset, unreadable="drop", fields=fields)
    assert len(problems) > 0.98 * rows


def checked(tmp_path, rows, name="p.jsonl", **settings) -> str:
    """What `check` finds in the first rows."""
    path = tmp_path / name
    path.write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows))
    config = Config(kind="file", path=name, **settings)
    return "\n".join(str(found) for found in check(config, {name: str(path)}))


def test_check_looks_at_the_first_rows(tmp_path, golden):
    assert checked(tmp_path, [{"question": "1?", "answer": "1"}] * 3) == ""
    for rows, settings in (
        ([{"question": "1?", "anwser": "1"}], {}),
        (GSM8K, {}),
        ([{"question": "1?", "answer": "A", "choices": COLORS}], {}),
        ([{"question": "1?", "answer": ["1"]}], {}),
        ("", {}),
        ('{"question": }\n', {}),
        ([{"question": "1?", "answer": 7, "choices": COLORS}], {"fields": {"choices": "choices"}}),
    ):
        golden(checked(tmp_path, rows, **settings))


def test_check_reads_the_beginning_of_a_large_file(tmp_path):
    """A line that the limit cuts in two is not an error, and what comes later is the build's concern."""
    rows = "".join(json.dumps({"question": f"{i}?", "answer": str(i)}) + "\n" for i in range(40_000))
    assert checked(tmp_path, rows + "broken\n") == ""
    table = "question;answer\n" + '"several\nlines";1\n' * 40_000
    assert checked(tmp_path, table, "p.csv") == ""
    assert checked(tmp_path, "[" + rows.replace("\n", ",\n") + "{}]", "p.json") == ""


def test_check_runs_no_verifier_of_yours(tmp_path):
    assert checked(tmp_path, [{"question": "1?", "answer": "1"}], verifier="python:no.such.module:Class") == ""
