"""YAML 1.2, places, limits: the cases are in yaml_cases.json."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.core.errors import Diagnostic, Place, UserError
from astro_factory.spec.reader import MAX_BYTES, UNRESOLVED, parse_value, parse_yaml, read_yaml

CASES = json.loads((Path(__file__).parent / "yaml_cases.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("text", "value"), CASES["values"])
def test_value(text, value):
    found = parse_yaml(text, "s.yaml").data["a"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(("text", "keys"), CASES["keys"])
def test_keys_are_text_or_whole_numbers(text, keys):
    found = list(parse_yaml(text, "s.yaml").data)
    assert found == keys and [type(key) for key in found] == [type(key) for key in keys]


def faults(text: str) -> list[Diagnostic]:
    """What is wrong with a text, whether or not it can be read around."""
    try:
        return parse_yaml(text, "s.yaml").errors
    except UserError as error:
        return error.diagnostics


@pytest.mark.parametrize(("text", "start"), CASES["faults"])
def test_fault(text, start, golden):
    found = faults(text)[0]
    assert f"{found.place} {found.code}" == start and found.remedy
    golden(str(found))


def test_infinity_and_nan():
    data = parse_yaml("{a: .inf, b: -.INF, c: .NaN, d: 1e400}", "s.yaml").data
    assert (data["a"], data["b"], data["d"]) == (float("inf"), -float("inf"), float("inf"))
    assert data["c"] != data["c"]


def test_faults_that_do_not_stop_reading_are_reported_together_and_left_unresolved():
    document = parse_yaml("a: 1\na: 2\nb: !x 3\n? {c: 1}\n: 4\nd: 5\n", "s.yaml")
    assert [d.code for d in document.errors] == ["E103", "E102", "E102"]
    assert document.data == {"a": 1, "b": UNRESOLVED, "d": 5}


def test_characters_of_private_use_are_kept():
    assert parse_yaml("a: \ue000${b}\ue001", "s.yaml").data == {"a": "\ue000${b}\ue001"}


def test_empty_file_has_a_place():
    document = parse_yaml("# nothing yet\n", "s.yaml")
    assert document.data == {} and document.place(("factory",)) == Place("s.yaml", 1, 1)


def test_byte_order_mark_is_ignored(tmp_path):
    (tmp_path / "s.yaml").write_bytes(b"\xef\xbb\xbfname: x\n")
    assert read_yaml(tmp_path / "s.yaml", "s.yaml").data == {"name": "x"}


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        (None, "E101", None),
        (b"x: 1\na: \xff\n", "E102", Place("s.yaml", 2, 4)),
        (b"#" * (MAX_BYTES + 1), "E105", None),
    ],
    ids=["missing", "not_utf8", "large"],
)
def test_file_that_cannot_be_read(tmp_path, content, code, place, golden):
    if content is not None:
        (tmp_path / "s.yaml").write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_yaml(tmp_path / "s.yaml", "s.yaml")
    (found,) = caught.value.diagnostics
    assert (found.code, found.place) == (code, place)
    golden(str(found))


def test_alias_bomb_is_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(UserError, match="E105 more than 100000 values"):
        parse_yaml("\n".join(lines), "s.yaml")


@pytest.mark.parametrize("text", ["[" * 300_000, "a: " + "{b: " * 100_000, "- " * 100_000])
def test_deep_nesting_is_refused(text):
    with pytest.raises(UserError, match=r"E105 more than 40 levels"):
        parse_yaml(text, "s.yaml")


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "1" * 401, "0." + "3" * 500])
def test_endless_numbers_are_refused(number):
    (found,) = faults(f"a: {number}")
    assert (found.code, found.place) == ("E105", Place("s.yaml", 1, 4)) and "400 digits" in found.cause
    assert parse_yaml(f"a: '{number}'", "s.yaml").data == {"a": number}


def test_places_of_keys_and_values():
    document = parse_yaml("stages:\n  trees: {kind: search, seeds: [1, 22]}\n", "s.yaml")
    path = ("stages", "trees", "seeds")
    assert document.place(path, key=True) == Place("s.yaml", 2, 25)
    assert document.place((*path, 1)) == Place("s.yaml", 2, 36)
    assert document.place((*path, 9, "x")) == document.place(path) == Place("s.yaml", 2, 32)
    assert document.excerpt(document.place(path, key=True)) == (
        "      trees: {kind: search, seeds: [1, 22]}\n" + " " * 28 + "^"
    )


def test_excerpt_of_a_long_line_is_what_surrounds_the_place():
    document = parse_yaml("{" + ", ".join(f"k{n}: {n}" for n in range(1000)) + "}", "s.yaml")
    source, caret = document.excerpt(document.place(("k700",), key=True)).splitlines()
    assert len(source) <= 124 and source[caret.index("^") :].startswith("k700: 700")


def test_value_of_an_assignment(golden):
    assert parse_value("{a: [1, 1e-3], b: no}", "--set x") == {"a": [1, 1e-3], "b": "no"}
    assert parse_value("", "--set x") is None
    with pytest.raises(UserError) as caught:
        parse_value("a: b", "--set x=a: b")
    assert caught.value.diagnostics[0].code == "E102"
    golden(str(caught.value))


@pytest.mark.parametrize("text", ["1\nother: 2", "1\nvalue: 2", "!!str x"])
def test_an_assignment_is_one_value(text):
    with pytest.raises(UserError, match=r"E10[23] .*; quote the value"):
        parse_value(text, "--set x")


# beyond these, JSON writes surrogate pairs, which YAML does not have
texts = st.text(st.characters(max_codepoint=0xD7FF), max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(plain)
def test_json_is_read_as_json(value):
    """YAML 1.2 is a superset of JSON, so generated specs are read correctly."""
    assert parse_yaml(json.dumps({"a": value}), "s.json").data == {"a": value}
