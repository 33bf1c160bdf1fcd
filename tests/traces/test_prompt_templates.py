"""Prompts as templates: their messages, and what is wrong with them told before anything runs."""

from pathlib import Path

import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.shipped import shipped_folder
from astro_factory.traces.prompt_templates import Prompt
from astro_factory.traces.rewriting import RewriteChecker
from astro_factory.traces.sandbox import MAX_CHARS
from astro_factory.traces.template_loader import compile_template
from tests.traces.trees import countdown_tree

TEMPLATES = shipped_folder("templates")
SHIPPED = sorted(
    path.relative_to(TEMPLATES).as_posix() for f in ("judge", "rewrite") for path in (TEMPLATES / f).iterdir()
)
PROBLEM = countdown_tree().problem


def compiled(folder: Path, text: str, form: str = "rewrite"):
    (folder / "mine.jinja").write_text(text, encoding="utf-8")
    return compile_template("mine.jinja", [folder, TEMPLATES], form)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_prompts_are_sound_and_named_in_the_reference(name):
    compile_template(name, [TEMPLATES], name.partition("/")[0])
    assert name in (Path(__file__).parents[2] / "docs/reference/templates.md").read_text(encoding="utf-8")


def test_examples_are_turns_before_the_question(tmp_path):
    source = compiled(
        tmp_path,
        "{% macro ask(line) %}Say {{ line }}{% endmacro %}{% block system %}Reword.{% endblock %}"
        "{% block user_10 %}{{ ask('c') }}{% endblock %}{% block assistant_10 %}C{% endblock %}"
        "{% block user_2 %}{{ ask('a') }}{% endblock %}{% block assistant_2 %}A{% endblock %}"
        "{% block user %}{{ ask(line) }}{% endblock %}",
    )
    found = Prompt(source, "rewrite").messages({"problem": PROBLEM, "line": "x", "before": ""})
    turns = ["system: Reword.", "user: Say a", "assistant: A", "user: Say c", "assistant: C", "user: Say x"]
    assert [f"{message['role']}: {message['content']}" for message in found] == turns


def test_the_examples_of_the_shipped_prompt_would_be_taken():
    """They keep the numbers and the paper's words for going back."""
    source, paper = (compile_template(name, [TEMPLATES], form) for name, form in EXAMPLES)
    turns = Prompt(source, "rewrite").turns({"problem": PROBLEM, "line": "x", "before": ""})
    judge = RewriteChecker(paper)
    for number in (1, 2, 3):
        line = turns[f"user_{number}"].partition("Next line: ")[2].partition("\n")[0]
        assert judge.refusal(line, turns[f"assistant_{number}"], countdown_tree()) == ""


EXAMPLES = [("rewrite/prose.jinja", "rewrite"), ("reflection/paper.jinja", "reflection")]


def test_a_long_trace_before_a_line_is_shown_whole(tmp_path):
    """Phrases are short; what a prompt shows need not be."""
    source = compiled(tmp_path, "{% block user %}{{ before }} {{ line }}{% endblock %}")
    before = "step\n" * MAX_CHARS
    [message] = Prompt(source, "rewrite").messages({"problem": PROBLEM, "line": "x", "before": before})
    assert message["content"] == before.rstrip() + "\n x"


def test_a_prompt_extends_another(tmp_path):
    source = compiled(
        tmp_path, '{% extends "judge/solution.jinja" %}{% block system %}Be strict.{% endblock %}', "judge"
    )
    assert list(source.sources) == ["judge/solution.jinja", "mine.jinja"]
    node = countdown_tree().nodes[1]
    found = Prompt(source, "judge").messages({"problem": PROBLEM, "node": node, "solution": "so"})
    assert [message["role"] for message in found] == ["system", "user"] and "Solution:\nso\n" in found[1]["content"]


WRONG = [
    ("rewrite", "{% block usr %}{{ line }}{% endblock %}", "E309 no message is a block 'usr'; did you mean 'user'?"),
    ("rewrite", "{% block system %}Reword.{% endblock %}", "E314 the prompt's block 'user' says nothing; write {%"),
    (
        "rewrite",
        "{% block user_1 %}a{% endblock %}{% block user %}{{ line }}{% endblock %}",
        "E314 the prompt's block 'a",
    ),
    ("rewrite", "{% block user %}Reword.{% endblock %}", "E314 the prompt does not show the line that is to be"),
    ("rewrite", "{% block user %}{{ line }} {{ node.text }}{% endblock %}", "E307 'node' is not defined"),
    ("judge", "{% block user %}{{ pick(['a', 'b']) }}{% endblock %}", "E307 'pick' is not defined"),
    ("judge", "{% block user %}{{ problem.questoin }}{% endblock %}", "E308 'problem' has no attribute 'questoin'"),
    ("judge", "Is {% block user %}it{% endblock %}", "E310 text outside a block is never said; put it into one of the"),
    ("judge", "{% block user %}{{ 1 / 0 }}{% endblock %}", "E311 rendering failed: division by zero"),
    ("judge", "{% block user %}{{ 1 + }}{% endblock %}", "E303 "),
]


@pytest.mark.parametrize(("form", "text", "message"), WRONG)
def test_what_is_wrong_has_a_place_in_the_file(tmp_path, form, text, message):
    with pytest.raises(UserError) as error:
        compiled(tmp_path, text, form)
    [found] = error.value.diagnostics
    assert str(found).startswith(f"{tmp_path}/mine.jinja:1:") and message in str(found)


def test_a_wording_is_no_prompt():
    with pytest.raises(UserError, match="E309 no message is a block 'reflect'"):
        compile_template("reflection/paper.jinja", [TEMPLATES], "judge")
