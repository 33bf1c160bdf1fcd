"""Prompts do not depend on the day, whatever the chat template does with a date."""

from pathlib import Path

import pytest
import transformers
from transformers import PreTrainedTokenizerFast

from astro_factory.core.chat import encode_dialogue, encode_dialogues, encode_prompt, prompt_text
from astro_factory.report.light_tokenizer import LightTokenizer
from tests.training.tiny import make_model

ASKED = [{"role": "user", "content": "1 + 2"}]
DIALOGUE = [*ASKED, {"role": "assistant", "content": "3"}]
END = "{% for m in messages %} [ask] {{ m['content'] }}{% endfor %}"
LLAMA_3_1 = '{%- if not date_string is defined %}{% set date_string = "26 Jul 2024" %}{% endif %}{{ date_string }}'
LLAMA_3_2 = """{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- endif %}Today Date: {{ date_string }}"""
IN_A_MACRO = '{%- macro today() %}{{ strftime_now("%Y-%m-%d %H:%M") }}{% endmacro %}{{ "Date: " + today() }}'
TEMPLATES = {
    "llama 3.1": (LLAMA_3_1, "26 Jul 2024"),
    "llama 3.2": (LLAMA_3_2, "Today Date: 26 Jul 2024"),
    "in a macro": (IN_A_MACRO, "Date: 2024-07-26 00:00"),
    "none": ("", ""),
}
"""Chat templates with a date in one of the usual ways, and what they write."""


@pytest.fixture(params=TEMPLATES)
def dated(request, tmp_path) -> tuple[PreTrainedTokenizerFast, str]:
    """A saved tokenizer whose chat template takes a date in one of the usual ways, and the date that it writes."""
    folder = make_model(tmp_path / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text, written = TEMPLATES[request.param]
    tokenizer.chat_template = text + END
    tokenizer.save_pretrained(folder)
    return tokenizer, written


def test_dates_are_fixed(dated):
    tokenizer, written = dated
    assert written in prompt_text(tokenizer, ASKED)
    assert encode_dialogues(tokenizer, [DIALOGUE, DIALOGUE]) == [encode_dialogue(tokenizer, DIALOGUE)] * 2


def test_light_tokenizer_has_the_same_date(dated):
    tokenizer, _ = dated
    assert prompt_text(LightTokenizer(Path(tokenizer.name_or_path)), ASKED) == prompt_text(tokenizer, ASKED)


def test_trl_tokenizes_prompts_to_the_same_ids(dated, tmp_path):
    from astro_factory.training.grpo import make_arguments, make_trainer
    from astro_factory.training.weights import load_model, load_tokenizer
    from tests.training.test_grpo import settings_of, task_of

    folder = Path(dated[0].name_or_path)
    tokenizer, settings = load_tokenizer(folder), settings_of()
    model = load_model(settings, folder)
    trainer = make_trainer(settings, task_of(settings), make_arguments(settings, tmp_path / "work"), model, tokenizer)
    ids, *_ = trainer._tokenize_prompts([ASKED])
    assert ids == [encode_prompt(tokenizer, ASKED)]
