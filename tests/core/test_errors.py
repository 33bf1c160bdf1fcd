"""How a user's mistake reads."""

import pickle

import pytest

from astro_factory.core.errors import Diagnostic, Place, UserError, excerpt, near, shown


@pytest.mark.parametrize(
    ("diagnostic", "text"),
    [
        (Diagnostic("E104", "unknown key 'x'"), "E104 unknown key 'x'"),
        (Diagnostic("E104", "unknown key 'x'", "remove it"), "E104 unknown key 'x'; remove it"),
        (Diagnostic("E104", "unknown key 'x'", "", Place("s.yaml", 3, 7)), "s.yaml:3:7 E104 unknown key 'x'"),
        (Diagnostic("E101", "no file", "", Place("s.yaml")), "s.yaml E101 no file"),
        (Diagnostic("E104", "x", "y", Place("s", 1, 2), "", Place("s", 7, 8)), "s:1:2 E104 x; y (used at s:7:8)"),
        (Diagnostic("E104", "wrong", "", Place("s", 1, 2), "    ab\n     ^"), "s:1:2 E104 wrong\n    ab\n     ^"),
    ],
)
def test_text(diagnostic, text):
    assert str(diagnostic) == text


def test_control_characters_are_shown_and_not_sent_to_the_terminal():
    assert str(Diagnostic("E1", "'a\x1b[2J\0'", "", None, "    b\x07")) == "E1 'a\\x1b[2J\\x00'\n    b\\x07"


def test_several_at_once():
    error = UserError(Diagnostic("E1", "a"), Diagnostic("E2", "b"))
    assert str(error) == "E1 a\nE2 b" and [d.code for d in error.diagnostics] == ["E1", "E2"]
    assert UserError.of("E3", "c", "d", Place("f", 1, 1)).diagnostics == [Diagnostic("E3", "c", "d", Place("f", 1, 1))]


def test_for_machines():
    plain = {"code": "E1", "file": "f", "line": 2, "column": 3, "excerpt": "x\n^", "cause": "a", "remedy": "b"}
    assert Diagnostic("E1", "a", "b", Place("f", 2, 3), "x\n^").as_json() == plain
    assert Diagnostic("E1", "a").as_json()["file"] == ""
    more = Diagnostic("E1", "a", near("tow", ["one", "two"]), used_at=Place("g", 4, 5)).as_json()
    assert more["choices"] == ["one", "two"] and more["remedy"] == "did you mean 'two'?"
    assert more["used_at"] == {"file": "g", "line": 4, "column": 5}


def test_choices_survive_the_way_to_another_process():
    remedy = near("tow", ["one", "two"])
    assert pickle.loads(pickle.dumps(remedy)) == remedy and pickle.loads(pickle.dumps(remedy)).choices == ("one", "two")


@pytest.mark.parametrize(
    ("name", "choices", "remedy"),
    [
        ("temprature", ["temperature", "top_p"], "did you mean 'temperature'?"),
        ("xyz", ["b", "a"], "choices: a, b"),
        (3, [1, 2], "choices: 1, 2"),
        ("x", [], ""),
        (
            "zzz",
            [f"name{n:02}" for n in range(25)],
            "choices: " + ", ".join(f"name{n:02}" for n in range(20)) + ", … (5 more)",
        ),
    ],
)
def test_near(name, choices, remedy):
    assert near(name, choices) == remedy


def test_excerpt():
    assert excerpt("  key: value  \n", 8) == "    " + "  key: value\n" + " " * 11 + "^"


@pytest.mark.parametrize("column", [1, 60, 61, 200, 400])
def test_excerpt_of_a_long_line(column):
    line = "".join(chr(ord("a") + n % 26) for n in range(400))
    source, caret = excerpt(line, column).splitlines()
    assert source[caret.index("^")] == line[column - 1] and len(source) <= 124


def test_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "a/b.yaml") == "a/b.yaml"
    assert shown(tmp_path.parent / "c.yaml") == str(tmp_path.parent / "c.yaml")
