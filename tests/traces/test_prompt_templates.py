"""Prompts as templates: their messages, and the errors found before anything runs."""

import re
from pathlib import Path

import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.shipped import shipped_folder
from astro_factory.traces.prompt_templates import Prompt
from astro_factory.traces.rewriting import RewriteChecker
from astro_factory.traces.template_functions import MAX_CHARS
from astro_factory.traces.template_loader import compile_template
from tests.traces.trees import countdown_tree

TEMPLATES = shipped_folder("templates")
SHIPPED = sorted(
    path.relative_to(TEMPLATES).as_posix() for f in ("judge", "rewrite") for path in (TEMPLATES / f).iterdir()
)
PROBLEM = countdown_tree().problem
VARIABLES = {"problem": PROBLEM, "line": "x", "before": "", "kind": "step", "target": ""}


def compiled(folder: Path, text: str, form: str = "rewrite"):
    (folder / "mine.jinja").write_text(text, encoding="utf-8")
    return compile_template("mine.jinja", [folder, TEMPLATES], form)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_prompts_are_valid_and_listed_in_the_reference(name):
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
    found = Prompt(source, "rewrite").messages(VARIABLES)
    turns = ["system: Reword.", "user: Say a", "assistant: A", "user: Say c", "assistant: C", "user: Say x"]
    assert [f"{message['role']}: {message['content']}" for message in found] == turns


@pytest.mark.parametrize("name", [name for name in SHIPPED if name.startswith("rewrite/")])
def test_the_examples_of_the_shipped_prompts_would_be_accepted(name):
    """They keep numbers and equations, and the words for going back of the template that they are for."""
    source = compile_template(name, [TEMPLATES], "rewrite")
    template = "paper_reworded" if name == "rewrite/solution.jinja" else "paper"
    checker = RewriteChecker(compile_template(f"reflection/{template}.jinja", [TEMPLATES], "reflection"))
    turns = Prompt(source, "rewrite").turns(VARIABLES)
    for number in (1, 2, 3):
        asked = turns[f"user_{number}"]
        kind, line = re.findall(r"^Next( step| line)?: (.*)", asked, re.MULTILINE)[-1]
        quoted = re.search(r'back to "(.*)"', line)
        fault = checker.refusal(
            kind.strip() or "move",
            line,
            turns[f"assistant_{number}"],
            countdown_tree(),
            target=quoted[1] if quoted else "",
            context=asked,
        )
        assert not fault


def test_a_long_trace_before_a_line_is_not_cut(tmp_path):
    """The limit for phrases does not apply to prompts."""
    source = compiled(tmp_path, "{% block user %}{{ before }} {{ line }}{% endblock %}")
    before = "step\n" * MAX_CHARS
    [message] = Prompt(source, "rewrite").messages(VARIABLES | {"before": before})
    assert message["content"] == before.rstrip() + "\n x"


def test_a_prompt_extends_another(tmp_path):
    source = compiled(
        tmp_path, '{% extends "judge/solution.jinja" %}{% block system %}Be strict.{% endblock %}', "judge"
    )
    assert list(source.sources) == ["judge/solution.jinja", "mine.jinja"]
    node = countdown_tree().nodes[1]
    found = Prompt(source, "judge").messages({"problem": PROBLEM, "node": node, "solution": "so"})
    assert [message["role"] for message in found] == ["system", "user"] and "Solution:\nso\n" in found[1]["content"]


WRONG = {
    "misspelled block": ("rewrite", "{% block usr %}{{ line }}{% endblock %}", "E309"),
    "no question": ("rewrite", "{% block system %}Reword.{% endblock %}", "E314"),
    "half an example": ("rewrite", "{% block user_1 %}a{% endblock %}{% block user %}{{ line }}{% endblock %}", "E314"),
    "no line": ("rewrite", "{% block user %}Reword.{% endblock %}", "E314"),
    "variable of judge": ("rewrite", "{% block user %}{{ line }} {{ node.text }}{% endblock %}", "E307"),
    "pick": ("judge", "{% block user %}{{ pick(['a', 'b']) }}{% endblock %}", "E307"),
    "attribute": ("judge", "{% block user %}{{ problem.questoin }}{% endblock %}", "E308"),
    "text outside": ("judge", "Is {% block user %}it{% endblock %}", "E310"),
    "rendering": ("judge", "{% block user %}{{ 1 / 0 }}{% endblock %}", "E311"),
    "syntax": ("judge", "{% block user %}{{ 1 + }}{% endblock %}", "E303"),
}


@pytest.mark.parametrize(("form", "text", "code"), WRONG.values(), ids=WRONG)
def test_errors_have_a_place_in_the_file(tmp_path, form, text, code, golden):
    with pytest.raises(UserError) as error:
        compiled(tmp_path, text, form)
    [found] = error.value.diagnostics
    assert found.code == code
    assert str(found).startswith(f"{tmp_path}/mine.jinja:1:")
    golden(str(found))


def test_a_reflection_template_is_not_a_prompt():
    with pytest.raises(UserError, match="E309"):
        compile_template("reflection/paper.jinja", [TEMPLATES], "judge")
