import csv
import json

import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table
from astro_factory.stages.problems.file import Config, check, run
from tests.training.tiny import context

ROWS = [
    {"key": "a", "problem": "1 + 1?", "answer": 2, "level": "easy"},
    {"key": "b", "problem": "x squared?", "answer": "x^2", "level": "hard"},
    {"key": "c", "problem": "half of 1?", "answer": "1/2", "level": "easy"},
]
FIELDS = {"id": "key", "question": "problem", "level": "level"}


def write(path, rows) -> None:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist([row | {"answer": str(row["answer"])} for row in rows]), path)


def config(name: str = "p.jsonl", **settings) -> Config:
    return Config(kind="file", path=name, **{"fields": FIELDS} | settings)


def build(tmp_path, rows, name="p.jsonl", **settings) -> list[Problem]:
    """The problems made of rows (or of a file's text)."""
    path = tmp_path / name
    path.write_text(rows) if isinstance(rows, str) else write(path, rows)
    ctx = context(tmp_path / "run", {name: path})
    run(ctx, config(name, **settings))
    build.log = ctx.events.lines
    return [Problem.from_row(row) for row in read_table(ctx.out / "problems.parquet")]


def fail(code: str, tmp_path, rows, name="p.jsonl", **settings) -> str:
    """The text of the errors, all of this code."""
    with pytest.raises(UserError) as caught:
        build(tmp_path, rows, name, **settings)
    assert {found.code for found in caught.value.diagnostics} == {code}
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_every_format_gives_the_same_problems(tmp_path, suffix):
    problems = build(tmp_path, ROWS, f"p{suffix}")
    assert problems[0] == Problem("a", "1 + 1?", "2", "math", {}, "easy")
    assert [(p.id, p.answer, p.level) for p in problems[1:]] == [("b", "x^2", "hard"), ("c", "1/2", "easy")]


def test_options(tmp_path):
    rows = [{"question": f"q{i}", "solution": rf"well, \boxed{{{i}}}", "extra": [i]} for i in range(5)]
    fields = {"answer": "solution", "info": ["extra"]}
    problems = build(tmp_path, rows, fields=fields, answer_form="solution", limit=3, instruction="Box it.")
    assert [p.question for p in problems] == ["q0\n\nBox it.", "q1\n\nBox it.", "q2\n\nBox it."]
    assert [(p.answer, p.info) for p in problems] == [
        ("0", {"extra": [0]}),
        ("1", {"extra": [1]}),
        ("2", {"extra": [2]}),
    ]
    assert len({p.id for p in problems}) == 3


def test_shares_split_questions_whatever_their_order_and_wording_around_them(tmp_path):
    rows = [{"question": f"q{i}", "answer": i} for i in range(200)]
    train = build(tmp_path, rows, fields={}, share=[0, 0.8], instruction="Box it.")
    test = build(tmp_path, rows[::-1], fields={}, share=[0.8, 1])
    assert not {p.id for p in train} & {p.id for p in test}
    assert len(train) + len(test) == 200 and 140 < len(train) < 180


def test_equal_rows_are_one_problem_where_the_question_is_the_identity(tmp_path):
    rows = [{"question": "q", "answer": 1}] * 2 + [{"question": "r", "answer": 1}]
    assert [p.question for p in build(tmp_path, rows, fields={})] == ["q", "r"]


def test_a_missing_column_is_reported_with_the_nearest(tmp_path, golden):
    text = fail("E422", tmp_path, ROWS, fields={"question": "problen", "answer": "solution"})
    assert "did you mean 'problem'?" in text
    golden(text)


def test_repeated_identifiers_are_reported_with_their_lines(tmp_path, golden):
    rows = [*ROWS, {**ROWS[0], "problem": "2 + 2?"}, ROWS[1]]
    golden(fail("E423", tmp_path, rows))
    rows = [{"question": "q", "answer": 1}, {"question": "q", "answer": 2}]
    golden(fail("E423", tmp_path, rows, fields={}))


def test_problems_that_contradict_each_other_can_be_left_out(tmp_path):
    """Large tables contain a few, and nothing tells which answer is correct."""
    rows = [{"question": q, "answer": a, "hard": h} for q, a, h in [("q", 1, 1), ("r", 2, 1), ("q", 3, 1), ("r", 2, 5)]]
    assert [p.question for p in build(tmp_path, rows, fields={"level": "hard"}, unreadable="drop")] == ["r"]
    assert build.log[0] == "left out: p.jsonl: one question with different answers is in line 1, line 5"
    rows = [*ROWS, {**ROWS[0], "problem": "2 + 2?"}, ROWS[1]]
    assert [p.id for p in build(tmp_path, rows, unreadable="drop")] == ["b", "c"]


BAD = [
    *ROWS,
    {"key": "d", "problem": "empty", "answer": None},
    {"key": "e", "problem": "unreadable", "answer": "\\frac{"},
    {"key": "f", "problem": "", "answer": "1"},
    {"key": "", "problem": "q", "answer": "1"},
    {"key": "g", "problem": "q", "answer": [1, 2]},
]


def test_unreadable_rows_are_reported_all_at_once(tmp_path, golden):
    golden(fail("E424", tmp_path, BAD))
    many = [{"question": f"q{i}", "answer": ""} for i in range(8)]
    assert "in line 1, line 3, line 5, line 7, line 9 and 3 more" in fail("E424", tmp_path, many, fields={})


def test_unreadable_rows_can_be_left_out(tmp_path, golden):
    assert [p.id for p in build(tmp_path, BAD, unreadable="drop")] == ["a", "b", "c"]
    assert build.log[0] == "left out: p.jsonl: the answer is empty in line 7"
    bad = [{"question": "q", "answer": ""}]
    golden(fail("E425", tmp_path, bad, fields={}, unreadable="drop"))


BROKEN = {
    "empty": ("E421", "p.jsonl", "", "E421 p.jsonl"),
    "lines": ("E427", "p.jsonl", '{"key": 1}\n{"key": }\n[1]\n', "p.jsonl:2:9 E427 "),
    "cut off": ("E427", "p.json", "[{}", "p.json:1:4 E427 "),
    "no list": ("E427", "p.json", "{}", "p.json E427 "),
    "columns": ("E427", "p.csv", "key,problem,answer\na,b\n", "p.csv:2:1 E427 "),
    "quotes": ("E427", "p.csv", 'key\n"a"b\n', "p.csv:2:1 E427 "),
}


@pytest.mark.parametrize(("code", "name", "text", "start"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_reported_with_its_place(tmp_path, code, name, text, start, golden):
    found = fail(code, tmp_path, text, name)
    assert found.startswith(start)
    golden(found)


def test_a_broken_parquet_file_is_reported(tmp_path):
    assert fail("E427", tmp_path, "PAR", "p.parquet").startswith("p.parquet E427 not valid Parquet: ")


def test_a_file_that_is_no_text_is_reported(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(UserError, match=r"p\.jsonl E427 not UTF-8 at byte 7"):
        run(context(tmp_path / "run", {"p.jsonl": tmp_path / "p.jsonl"}), config())


def test_the_compiler_is_told_what_shows_without_running():
    assert check(config(), {}) == []
    assert check(config(verifier="python:my.module:Class"), {}) == []
    assert [str(d) for d in check(config(verifier="meth"), {})] == [
        "E401 unknown verifier 'meth'; did you mean 'math'?"
    ]
    assert [str(d) for d in check(config("p.txt"), {})] == [
        "E426 'p.txt' has no known format; use a file ending in .jsonl, .json, .csv, .tsv, .parquet"
    ]


@pytest.mark.parametrize("share", [[0.5, 0.5], [0.6, 0.4], [-0.1, 1], [0, 1.1]])
def test_a_share_is_a_range(share):
    with pytest.raises(ValueError, match="0 <= low < high <= 1"):
        config(share=share)
