"""Chat templates of models: honest ones render as in transformers, hostile ones are an error within bounds."""

import time
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import pytest

from astro_factory.core import chat_templates
from astro_factory.core.chat_templates import PROMPT_DATE, render_chats
from astro_factory.core.errors import UserError

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
USER = {"role": "user", "content": "Numbers 3 5 7; reach 'é<&>\" 22'.\n"}
ASSISTANT = {"role": "assistant", "content": "<think>3 * 5</think>\n\n3 * 5 + 7 "}
CONVERSATIONS = [
    [USER],
    [{"role": "system", "content": " Think in steps. "}, USER],
    [USER, ASSISTANT, USER],
    [USER, ASSISTANT, USER, ASSISTANT, USER],
]


class Tokenizer:
    def __init__(self, template: str):
        self.template = template
        self.special_tokens_map = SPECIAL

    def get_chat_template(self) -> str:
        return self.template


def published_templates() -> list[Path]:
    """Chat templates of well-known models, which TRL contains; not its variants for training."""
    trl = find_spec("trl")
    paths = sorted((Path(trl.origin).parent / "chat_templates").glob("*.jinja")) if trl and trl.origin else []
    return [path for path in paths if not path.stem.endswith("_training")]


@pytest.fixture
def on_the_day(monkeypatch):
    """transformers' clock shows the day that is in all our prompts."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.strptime(PROMPT_DATE, "%d %b %Y")

    monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Clock)


def by_transformers(template: str, conversation: list[dict[str, str]]) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    [text], _ = render_jinja_template([conversation], chat_template=template, add_generation_prompt=True, **SPECIAL)
    return text


@pytest.mark.slow
@pytest.mark.skipif(not published_templates(), reason="TRL is not installed")
def test_published_templates_render_as_in_transformers(on_the_day):
    compared = 0
    for path in published_templates():
        template = path.read_text(encoding="utf-8")
        for conversation in CONVERSATIONS:
            try:
                expected = by_transformers(template, conversation)
            except Exception:
                with pytest.raises(UserError, match="E436"):
                    render_chats(Tokenizer(template), [conversation])
                continue
            compared += 1
            assert render_chats(Tokenizer(template), [conversation]) == [expected], path.name
    assert compared > 100


MACRO = "{% macro m(x) %}[{{ x }}]{% endmacro %}"
DETAILS = [
    "{% if tools is not none %}tools{% endif %}{{ documents }}",
    "{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{{ m | tojson(indent=1) }}{% endfor %}",
    "{% generation %}{% set x = 1 %}{{ messages[0].content }}{% endgeneration %}{{ x }}",
    "{% set ns = namespace(self=1, n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
    MACRO + "{{ m(messages[0].role) }}{{ messages[-1].content.strip().split('=')[0] }}{{ missing }}",
    "  {% if true %}  \n a\n  {%- endif %}\n{{ dict(a=1) }}",
]


@pytest.mark.parametrize("template", DETAILS)
def test_details_render_as_in_transformers(template):
    pytest.importorskip("transformers")
    assert render_chats(Tokenizer(template), CONVERSATIONS) == [by_transformers(template, c) for c in CONVERSATIONS]


def test_many_conversations_keep_their_order():
    conversations = [[{"role": "user", "content": str(number)}] for number in range(1000)]
    tokenizer = Tokenizer("{% for m in messages %}{{ m.content }}{% endfor %}")
    assert render_chats(tokenizer, conversations) == [str(number) for number in range(1000)]
    long = [[{"role": "user", "content": "x" * 1_000_000}]]
    assert render_chats(tokenizer, long) == ["x" * 1_000_000]


HOSTILE = {
    "time": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "time in one call": "{{ 1 | round(30000000, 'ceil') }}",
    "memory": "{{ 'x'.ljust(20000000000) }}",
    "memory in small steps": "{% set ns = namespace(x=['x' * 1000]) %}"
    "{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "output": "{{ messages[0].content * 20000 }}",
    "deep": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "not Jinja": "{% for %}",
    "refusal": "{{ raise_exception('roles must alternate') }}",
    "Python": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a private name": "{{ namespace(_x=1) }}",
    "a file": "{% include '/etc/passwd' %}",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_an_error_within_bounds(name, monkeypatch, golden):
    monkeypatch.setattr(chat_templates, "_CPU_S", 1.0)
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        render_chats(Tokenizer(HOSTILE[name]), [[USER]])
    assert time.monotonic() - start < 20
    [found] = caught.value.diagnostics
    assert found.code == "E436" and "\n" not in found.cause
    golden(str(caught.value))
    assert render_chats(Tokenizer("{{ messages[0].role }}"), [[USER]]) == ["user"], "the next template is rendered"
