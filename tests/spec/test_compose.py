"""Includes, profiles, `--set` and `${...}`: the resulting values, places and errors."""

from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.core.errors import Place, UserError
from astro_factory.spec.compose import apply_profile, apply_set, interpolate, load, override
from astro_factory.spec.reader import UNRESOLVED, Document, parse_yaml


def document(text: str) -> Document:
    return parse_yaml(text, "s.yaml")


def files(folder: Path, **texts: str) -> Path:
    """Write `name=text` as name.yaml; returns the folder's main.yaml."""
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / "main.yaml"


def test_includes_merge_at_any_depth(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "templates").mkdir()  # makes the folder a workspace
    main = files(tmp_path, main="include: [parts/a.yaml, b.yaml]\nx: {own: 1}\n", b="x: {b: 2}\n")
    files(tmp_path / "parts", a="include: c.yaml\nx: {a: 3}\n", c="x: {c: 4, own: 1}\n")
    found = load(main)
    assert found.data == {"x": {"own": 1, "a": 3, "c": 4, "b": 2}}
    assert found.place(("x", "c")) == Place("parts/c.yaml", 1, 8)
    assert found.place(("x", "own")) == Place("main.yaml", 2, 10)
    assert found.excerpt(found.place(("x", "b"))) == "    x: {b: 2}\n           ^"


def test_a_spec_can_build_on_another(tmp_path):
    """Its own name wins, and imports of the other spec stay relative to that spec."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "templates").mkdir()  # makes the folder a workspace
    main = files(tmp_path / "parts", main="name: mine\ninclude: ../whole.yaml\n")
    files(tmp_path, whole="name: whole\nimports: [exports/base.tar]\nx: 1\n")
    assert load(main).data == {"name": "mine", "imports": ["../exports/base.tar"], "x": 1}
    assert load(files(tmp_path, main="include: whole.yaml")).data["name"] == "whole"


SECRET = "t0p-s3cret"
OUTSIDE = [
    f"more: {SECRET}\n",
    f"{SECRET}: [\n",
    f"root:x:0:0\n{SECRET}: y: z\n",
    f"KEY={SECRET}\0HOME=/\0",
    f"token: {SECRET}\n",
    None,
]
"""Files of another workspace: a spec, others, and none."""


@pytest.mark.parametrize("text", OUTSIDE)
@pytest.mark.parametrize("through", ["path", "link", "another include"])
def test_a_file_outside_the_workspace_is_not_read(through, text, tmp_path):
    specs = tmp_path / "theirs/specs"
    specs.mkdir(parents=True)
    if text is not None:
        (tmp_path / "private").write_text(text)
    (specs / "link").symlink_to(tmp_path / "private")
    (specs / "other.yaml").write_text("include: ../../private\n")
    included = {"path": "../../private", "link": "link", "another include": "other.yaml"}[through]
    with pytest.raises(UserError) as caught:
        load(files(specs, main=f"token: mine\ninclude: {included}\n"))
    assert [found.code for found in caught.value.diagnostics] == ["E126"]
    assert SECRET not in repr(caught.value.diagnostics)


def test_one_file_may_be_included_twice(tmp_path):
    main = files(tmp_path, main="include: [a.yaml, b.yaml]", a="include: c.yaml", b="include: c.yaml", c="x: [1]")
    assert load(main).data == {"x": [1]}


def test_include_takes_files(tmp_path):
    for include in ("{a: b}", "[1]"):
        (found,) = load(files(tmp_path, main=f"include: {include}")).errors
        assert found.code == "E115" and found.remedy == "write `include: [FILE]`"


def test_profile_overrides_and_points_into_itself():
    spec = document("a: {b: 1, c: [{d: 2}]}\nprofiles:\n  smoke:\n    a.b: {x: [5]}\n    a.c.0.d: 3\n")
    apply_profile(spec, "smoke")
    assert spec.data["a"] == {"b": {"x": [5]}, "c": [{"d": 3}]}
    assert spec.place(("a", "b", "x", 0)) == Place("s.yaml", 4, 15)
    assert spec.place(("a", "c", 0, "d"), key=True) == Place("s.yaml", 5, 5)


@pytest.mark.parametrize(
    ("text", "column", "remedy"),
    [("profiles: {smoke: {}, full: {}}", 11, "did you mean 'smoke'?"), ("a: 1", 1, "add it to `profiles:`")],
    ids=["near", "none"],
)
def test_unknown_profile(text, column, remedy):
    with pytest.raises(UserError, match="E109") as caught:
        apply_profile(document(text), "smok")
    (found,) = caught.value.diagnostics
    assert (found.place, found.remedy) == (Place("s.yaml", 1, column), remedy)


@pytest.mark.parametrize(
    ("assignments", "data"),
    [
        (["a.b=2"], {"a": {"b": 2, "l": [1, 2], "n": None}}),
        (["a.b=1e-3"], {"a": {"b": 1e-3, "l": [1, 2], "n": None}}),
        (["a.b=no"], {"a": {"b": "no", "l": [1, 2], "n": None}}),
        (["a.b={x: [1, y]}", "a.b.x.1=z"], {"a": {"b": {"x": [1, "z"]}, "l": [1, 2], "n": None}}),
        (["a.l.0=7"], {"a": {"b": 1, "l": [7, 2], "n": None}}),
        (["a.b=null"], {"a": {"l": [1, 2], "n": None}}),
        (["a.n.deep.er=5"], {"a": {"b": 1, "l": [1, 2], "n": {"deep": {"er": 5}}}}),
        (["a.b=file:/x=y"], {"a": {"b": "file:/x=y", "l": [1, 2], "n": None}}),
        (["new=1", "a=2"], {"new": 1, "a": 2}),
    ],
)
def test_set(assignments, data):
    spec = document("a: {b: 1, l: [1, 2], n: }")
    for assignment in assignments:
        apply_set(spec, assignment)
    assert spec.data == data


def test_set_reaches_number_keys():
    spec = document("numbers: {3: 1}")
    apply_set(spec, "numbers.3=2")
    assert spec.data == {"numbers": {3: 2}}


@pytest.mark.parametrize(
    ("assignment", "data"),
    [
        ("s.axes.params.seed=[0]", {"s": {"axes": {"params.seed": [0], "a.b": {"c": 1}}}}),
        ("s.axes.a.b.c=2", {"s": {"axes": {"params.seed": [0, 1], "a.b": {"c": 2}}}}),
        ("s.axes.a.x=2", {"s": {"axes": {"params.seed": [0, 1], "a.b": {"c": 1}, "a": {"x": 2}}}}),
        ("s.axes.params.seed=null", {"s": {"axes": {"a.b": {"c": 1}}}}),
    ],
)
def test_set_finds_a_key_that_has_dots_itself(assignment, data):
    spec = document("s: {axes: {params.seed: [0, 1], a.b: {c: 1}}}")
    apply_set(spec, assignment)
    assert spec.data == data


def test_an_override_is_the_place_of_its_value():
    spec = document("a: {b: {c: 1}}")
    apply_set(spec, "a.b=5")
    assert str(spec.diagnose("E115", ("a", "b"), "is wrong")) == "--set a.b=5 E115 is wrong"
    assert spec.place(("a", "b", "c")) == Place("--set a.b=5")


@pytest.mark.parametrize("assignment", ["a", "=1", "a.b.c=1", "l.x=1", "l.2=1", "l.²=1"])
def test_set_of_an_impossible_path(assignment, golden):
    with pytest.raises(UserError) as caught:
        apply_set(document("{a: {b: 1}, l: [1, 2]}"), assignment)
    (found,) = caught.value.diagnostics
    assert (found.code, found.place) == ("E110", Place(f"--set {assignment}"))
    golden(str(found))


keys = st.text("abc", min_size=1, max_size=2)
trees = st.dictionaries(
    keys,
    st.recursive(
        st.integers(),
        lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


def leaves(value, path=()):
    """Dotted path to everything that holds nothing below."""
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, str(key)))
    elif path:
        yield ".".join(path), value


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(data=trees, parts=st.lists(keys | st.integers(0, 3), min_size=1, max_size=4), value=st.integers() | st.text())
def test_an_override_lands_where_it_says_and_nowhere_else(data, parts, value):
    spec, dotted = Document(deepcopy(data)), ".".join(map(str, parts))
    try:
        override(spec, dotted, value, None)
    except UserError as error:
        assert [found.code for found in error.diagnostics] == ["E110"] and spec.data == data
        return
    above_or_below = {
        name for name, _ in leaves(data) if f"{name}.".startswith(f"{dotted}.") or f"{dotted}.".startswith(f"{name}.")
    }
    untouched = {name: leaf for name, leaf in leaves(data) if name not in above_or_below}
    assert dict(leaves(spec.data)) == untouched | {dotted: value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("p: {x: 3}\na: ${p.x}", 3),
        ("p: {x: 1e-5}\na: ${ p.x }", 1e-5),
        ("p: {x: true}\na: ${p.x}", True),
        ("p: {x: }\na: ${p.x}", None),
        ("p: {x: [1, {y: 2}]}\na: ${p.x}", [1, {"y": 2}]),
        ("p: {x: 3}\na: n${p.x}m${p.x}", "n3m3"),
        ("p: {x: true}\na: is ${p.x}", "is true"),
        ("p: {x: 0.5}\na: [b, {c: '${p.x}'}]", ["b", {"c": 0.5}]),
        ("p: {x: '${p.y}', y: [z]}\na: ${p.x}", ["z"]),
        ("p: {dollar: $}\na: ${p.dollar}{x}", "${x}"),
        ("a: $5 {x}", "$5 {x}"),
    ],
)
def test_interpolation_keeps_types(text, value):
    spec = document(text)
    assert interpolate(spec) == []
    assert spec.data["a"] == value and type(spec.data["a"]) is type(value)


def test_set_and_profile_reach_every_use():
    spec = document("p: {x: 1}\na: ${p.x}\nb: [v${p.x}]\nprofiles: {smoke: {p.x: 2}, other: {a: '${p.y}'}}")
    apply_profile(spec, "smoke")
    apply_set(spec, "p.x=3")
    assert interpolate(spec) == []
    assert spec.data["a"] == 3 and spec.data["b"] == ["v3"]
    assert spec.data["profiles"]["other"] == {"a": "${p.y}"}


def test_an_unresolved_reference_is_reported_once(golden):
    spec = document("p: {x: '${q.z}'}\na: ${p.x}\nb: n${p.x}")
    (found,) = interpolate(spec)
    assert (found.code, found.place) == ("E111", Place("s.yaml", 1, 8))
    golden(str(found))
    assert spec.data == {"p": {"x": UNRESOLVED}, "a": UNRESOLVED, "b": UNRESOLVED}


def test_cycle_through_a_mapping(golden):
    (found,) = interpolate(document("a: {b: '${a}'}"))
    assert (found.code, found.place) == ("E112", Place("s.yaml", 1, 8))
    golden(str(found))


def test_long_chain_of_references():
    chain = "\n".join(f"  x{n}: ${{p.x{n + 1}}}" for n in range(2000))
    found = interpolate(document(f"p:\n{chain}\n  x2000: 1"))
    assert {d.code for d in found} == {"E105"}


def test_an_error_shows_where_the_value_is_written_and_where_it_is_used():
    spec = document("p: {x: {y: 1}, z: '${p.x}'}\na: ${p.z}\nb: [${p.x.y}, 'v${p.x.y}']")
    assert interpolate(spec) == []
    for used, written, used_at in [
        (("a", "y"), ("p", "x", "y"), Place("s.yaml", 2, 4)),
        (("b", 0), ("p", "x", "y"), Place("s.yaml", 3, 5)),
        (("b", 1), ("b", 1), None),
        (("p", "z", "y"), ("p", "x", "y"), Place("s.yaml", 1, 19)),
    ]:
        assert spec.origin(used) == written
        found = spec.diagnose("E115", used, "is wrong")
        assert (found.place, found.used_at) == (spec.place(written), used_at)


def test_interpolation_reaches_the_entries_of_lists():
    spec = document("p: {x: [a, {y: 5}]}\na: ${p.x.1.y}\nb: ${p.x.2}")
    (found,) = interpolate(spec)
    assert (found.code, found.place, found.remedy) == ("E111", Place("s.yaml", 3, 4), "did you mean 'p.x.1'?")
    assert spec.data["a"] == 5


def test_keys_inside_the_value_of_a_profile_keep_their_places():
    spec = document("a: {}\nprofiles:\n  smoke:\n    a.b:\n      c: 1\n")
    apply_profile(spec, "smoke")
    assert spec.place(("a", "b", "c"), key=True) == Place("s.yaml", 5, 7)


def test_a_file_is_read_once_however_often_it_is_included(tmp_path):
    """Otherwise these thirty files of two lines would be read a billion times."""
    texts = {f"f{n}": f"include: [f{n + 1}.yaml, f{n + 1}.yaml]\nx: {{k{n}: 1}}\n" for n in range(30)}
    main = files(tmp_path, **texts, f30="x: {end: 1}", main="include: f0.yaml")
    assert len(load(main).data["x"]) == 31


@pytest.mark.parametrize(
    ("texts", "place"),
    [
        ({f"f{n}": f"include: f{n + 1}.yaml" for n in range(120)}, "f98.yaml:1:10"),
        ({"f0": "# " + "x" * 700_000, "f1": "# " + "x" * 700_000}, "main.yaml:1:20"),
    ],
    ids=["many", "large"],
)
def test_includes_have_limits(tmp_path, monkeypatch, texts, place):
    monkeypatch.chdir(tmp_path)
    names = "[f0.yaml, f1.yaml]" if "f2" not in texts else "f0.yaml"
    with pytest.raises(UserError) as caught:
        load(files(tmp_path, **texts, main=f"include: {names}"))
    assert str(caught.value).startswith(f"{place} E105 ")


@pytest.mark.parametrize("name", ["x" * 300, "a\\0b"])
def test_an_include_with_an_impossible_path_is_missing(tmp_path, name):
    with pytest.raises(UserError, match="E101 "):
        load(files(tmp_path, main=f'include: ["{name}"]'))
