"""The only conversion of text to token ids, used by every stage.

Ids are built from parts (prompt, response, terminator), never found by searching text, so the mask is correct by
construction and no sequence can start with a second BOS. `tokenizer` is any transformers tokenizer, never modified.

Some chat templates (Llama 3.2) write today's date into each prompt. Here it is always `PROMPT_DATE`, so that equal
inputs give equal ids on every day.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

Message = dict[str, str]

_DAY = datetime(2024, 7, 26)
PROMPT_DATE = _DAY.strftime("%d %b %Y")
"""Today's date in all prompts: the one that Llama 3's templates write where they know no other."""
CLOCK_FUNCTION = "strftime_now"
"""The function by which a chat template reads the clock."""
_DATE_FILTERS = "".join(f"|replace('%{code}', '{_DAY.strftime('%' + code)}')" for code in "YymdbBaAjHIMSpeFDTR")
_FIXED_CLOCK = f"{{%- macro {CLOCK_FUNCTION}(format) -%}}{{{{ format{_DATE_FILTERS} }}}}{{%- endmacro -%}}"
"""A macro that takes the function's place: transformers passes no functions to templates."""


class Encoded(NamedTuple):
    """Token ids, and for each whether it belongs to the response (1) or the prompt (0)."""

    ids: list[int]
    response_mask: list[int]


def chat_template(tokenizer: Any) -> str:
    """The tokenizer's chat template, with `PROMPT_DATE` in place of the clock."""
    template = tokenizer.get_chat_template()
    return _FIXED_CLOCK + template if CLOCK_FUNCTION in template else template


def prompt_text(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The conversation up to the start of the assistant's message."""
    template = chat_template(tokenizer)
    return tokenizer.apply_chat_template(
        list(messages), chat_template=template, tokenize=False, add_generation_prompt=True
    )


def encode_prompt(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The ids of `prompt_text`."""
    return tokenizer(prompt_text(tokenizer, messages), add_special_tokens=False)["input_ids"]


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Ids of a piece of a response, without special tokens."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def terminator(tokenizer: Any) -> int:
    """The id that ends a response."""
    return tokenizer.eos_token_id


def encode_dialogue(tokenizer: Any, messages: Sequence[Message]) -> Encoded:
    """Ids of a whole conversation whose last message is the assistant's, ended by the terminator.

    Earlier assistant turns count as prompt. The ids start with exactly `encode_prompt(tokenizer, messages[:-1])`,
    which is what the model sees when it generates.
    """
    if not messages or messages[-1]["role"] != "assistant":
        raise ValueError("a dialogue to train on ends with an assistant message")
    prompt = encode_prompt(tokenizer, messages[:-1])
    response = [*encode_text(tokenizer, messages[-1]["content"]), terminator(tokenizer)]
    return Encoded(prompt + response, [0] * len(prompt) + [1] * len(response))


def encode_dialogues(tokenizer: Any, dialogues: Sequence[Sequence[Message]]) -> list[Encoded]:
    """`encode_dialogue` of each, many times faster."""
    if not all(messages and messages[-1]["role"] == "assistant" for messages in dialogues):
        raise ValueError("a dialogue to train on ends with an assistant message")
    questions = [list(messages[:-1]) for messages in dialogues]
    template = chat_template(tokenizer)
    texts = tokenizer.apply_chat_template(questions, chat_template=template, tokenize=False, add_generation_prompt=True)
    prompts = tokenizer(texts, add_special_tokens=False)["input_ids"]
    responses = tokenizer([messages[-1]["content"] for messages in dialogues], add_special_tokens=False)["input_ids"]
    end = terminator(tokenizer)
    return [
        Encoded([*prompt, *response, end], [0] * len(prompt) + [1] * (len(response) + 1))
        for prompt, response in zip(prompts, responses, strict=True)
    ]
