from pathlib import Path

import pytest

from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import UserError
from astro_factory.core.shipped import shipped_folder
from astro_factory.traces.template_checks import check_template
from astro_factory.traces.template_loader import compile_template, load_template


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The templates/ folder of a workspace, which is the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "templates/reflection").mkdir(parents=True)
    return tmp_path / "templates"


def write(folder, **texts: str) -> None:
    for name, text in texts.items():
        (folder / "reflection" / f"{name}.jinja").write_text(text, encoding="utf-8")


def test_a_template_is_loaded_with_exactly_the_files_it_needs(folder):
    write(
        folder,
        mine='{% extends "reflection/base.jinja" %}{% from "reflection/words.jinja" import no %}'
        '{% include "reflection/not_there.jinja" ignore missing %}{% block wrong %}{{ no() }}{% endblock %}',
        base='{% block right %}{% include ["reflection/gone.jinja", "reflection/yes.jinja"] %}{% endblock %}',
        words="{% macro no() %}No{% endmacro %}",
        yes="Yes",
        other="{% block wrong %}",
    )
    source = compile_template("reflection/mine.jinja", [folder])
    assert source.entry == "reflection/mine.jinja"
    assert list(source.sources) == [f"reflection/{name}.jinja" for name in ("base", "mine", "words", "yes")]
    assert compile_template(str(folder / "reflection/mine.jinja"), [folder]) == source


def test_the_first_folder_wins_and_a_shipped_template_can_be_extended(folder):
    write(folder, terse="{% block wrong %}Nope{% endblock %}", polite='{% extends "reflection/paper.jinja" %}')
    folders = [folder, shipped_folder("templates")]
    assert compile_template("reflection/terse.jinja", folders).sources["reflection/terse.jinja"].endswith("endblock %}")
    assert "reflection/paper.jinja" in compile_template("reflection/polite.jinja", folders).sources


def test_a_missing_template_suggests_the_nearest_name(folder, golden):
    write(folder, terse="")
    with pytest.raises(UserError) as error:
        load_template("reflection/ters.jinja", [folder])
    assert str(error.value).startswith("E301")
    golden(str(error.value))


def test_a_missing_include_is_reported_where_it_is_named(folder):
    write(folder, mine='\n{% include "reflection/gone.jinja" %}')
    with pytest.raises(UserError) as error:
        load_template("reflection/mine.jinja", [folder])
    (found,) = error.value.diagnostics
    assert (found.code, str(found.place)) == ("E301", "templates/reflection/mine.jinja:2:13")
    assert found.excerpt.endswith(" " * 12 + "^")


@pytest.mark.parametrize("name", ["../secret.jinja", "/etc/hosts", "reflection/../../secret.jinja"])
def test_no_file_outside_the_folders_is_read(folder, name):
    (folder.parent / "secret.jinja").write_text("secret")
    write(folder, mine=f'{{% include "{name}" %}}')
    with pytest.raises(UserError, match="E302"):
        load_template(name, [folder])
    with pytest.raises(UserError, match="E302"):
        load_template("reflection/mine.jinja", [folder])


def test_links_out_of_the_folders_are_not_followed(folder):
    (folder.parent / "secret.jinja").write_text("secret")
    (folder / "reflection/link.jinja").symlink_to(folder.parent / "secret.jinja")
    with pytest.raises(UserError, match="E301"):
        load_template("reflection/link.jinja", [folder])


def test_a_file_that_is_not_text(folder, golden):
    (folder / "reflection/mine.jinja").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="E301") as error:
        load_template("reflection/mine.jinja", [folder])
    golden(str(error.value))


def test_all_errors_of_all_files_are_reported_with_their_paths(folder, golden):
    write(
        folder,
        mine='{% extends "reflection/base.jinja" %}\n{% block backtrak %}{{ nodde.text }}{% endblock %}',
        base="{% block wrong %}{{ node.txt | trimm }}{% endblock %}",
    )
    with pytest.raises(UserError) as error:
        compile_template("reflection/mine.jinja", [folder])
    found = [(Path(d.place.file).name, d.place.line, d.place.column, d.code) for d in error.value.diagnostics]
    assert found == [
        ("base.jinja", 1, 32, "E305"),
        ("base.jinja", 1, 26, "E308"),
        ("mine.jinja", 2, 24, "E307"),
        ("mine.jinja", 2, 10, "E309"),
    ]
    golden(str(error.value))


FINDINGS = [
    ("{% block wrong %}\n  {% if %}{% endblock %}", ["2:3 E303"]),
    ("{% block wrong %}", ["1:1 E303"]),
    ("{% block wrong %}{% endblock %}\n{% block wrong %}{% endblock %}", ["2:1 E303"]),
    ("{% block wrong %}{% include node.text %}{% endblock %}", ["1:1 E304"]),
    ("{% extends problem.id %}", ["1:1 E304"]),
    ("{% if attempt %}{% extends 'a.jinja' %}{% endif %}", ["1:20 E304"]),
    ("{% block wrong %}{{ ['a', 'b'] | random }}{% endblock %}", ["1:34 E305"]),
    ("{% block wrong %}{% if attempt is evne %}{% endif %}{% endblock %}", ["1:35 E306"]),
    ("{% block wrong %}{{ lipsum() }}{% endblock %}", ["1:21 E307"]),
    ("{% block wrong %}{{ target.lefft }}{{ problem.quest }}{% endblock %}", ["1:28 E308", "1:47 E308"]),
    ("Wait\n{% block wrong %}{% endblock %}\nmore", ["1:1 E310", "3:1 E310"]),
    ("{% block wrong %}{{ node.facts | first }}{{ node.answer / 2 }}{% endblock %}", ["1:1 E311"]),
    ("{% block right %}{{ target.text }}{% endblock %}", ["1:21 E311"]),
    ("{% block wrong %}{% for i in range(99999) %}x{% endfor %}{% endblock %}", ["1:1 E312"]),
    ("\n{% block answer %}{% endblock %}", ["2:10 E313"]),
    ("{% block right %}{{ node.closing }}{% endblock %}{% block answer %}Done{% endblock %}", ["1:59 E313"]),
    ("{% block wrong %}{% for i in range(999999) %}x{% endfor %}{% endblock %}", ["1:1 E311"]),
]


@pytest.mark.parametrize("text, heads", FINDINGS)
def test_findings(text, heads):
    found = check_template(TemplateSource(entry="a.jinja", sources={"a.jinja": text}))
    assert [f"{d.place.line}:{d.place.column} {d.code}" for d in found] == heads
    assert all(d.excerpt and d.cause for d in found)


GOOD = [
    "",
    "{# a comment #}",
    "{% set words = ['a', 'b'] %}{% block wrong %}{{ pick(words) }}{% endblock %}",
    "{% macro say(x) %}{{ x.text }}{% endmacro %}{% block wrong %}{{ say(node) }}{% endblock %}",
    "{% block wrong %}{{ node.facts.anything | int + 1 }} {{ problem.info['x'] }}{% endblock %}",
    "{% block wrong %}{% block inner %}x{% endblock %}{% endblock %}",
    "{% block wrong %}{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = loop.index %}{% endfor %}"
    "{{ ns.n }}{% endblock %}",
    "{% block answer %}So it is {{ node.answer }} .{% endblock %}",
    "{% block restart %}{{ self.backtrack() }}{{ target.facts.x is defined }}{% endblock %}",
]


@pytest.mark.parametrize("text", GOOD)
def test_valid_templates(text):
    assert check_template(TemplateSource(entry="a.jinja", sources={"a.jinja": text})) == []


def test_an_imported_macro_does_not_see_the_node(golden):
    sources = {
        "a.jinja": '{% from "b.jinja" import say %}{% block wrong %}{{ say() }}{% endblock %}',
        "b.jinja": "{% macro say() %}\n{{ node.text }}{% endmacro %}",
    }
    (found,) = check_template(TemplateSource(entry="a.jinja", sources=sources))
    assert (found.code, found.place.file, found.place.line) == ("E311", "b.jinja", 2)
    golden(str(found))


def test_an_inner_block_of_a_parent_can_be_overridden():
    sources = {
        "a.jinja": '{% extends "b.jinja" %}{% block place %}there{% endblock %}',
        "b.jinja": "{% block backtrack %}Back {% block place %}{% endblock %}{% endblock %}",
    }
    assert check_template(TemplateSource(entry="a.jinja", sources=sources)) == []
