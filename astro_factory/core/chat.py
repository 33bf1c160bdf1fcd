"""The only conversion of text to token ids, used by every stage.

Ids are built from parts (prompt, response, terminator), never found by searching text, so the mask is correct by
construction and no sequence can start with a second BOS. `tokenizer` is any transformers tokenizer, never modified.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from astro_factory.core.chat_templates import Message, render_chats


class Encoded(NamedTuple):
    """Token ids, and for each whether it belongs to the response (1) or the prompt (0)."""

    ids: list[int]
    response_mask: list[int]


def prompt_text(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The conversation up to the start of the assistant's message."""
    [text] = render_chats(tokenizer, [messages])
    return text


def encode_prompt(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The ids of `prompt_text`."""
    return encode_text(tokenizer, prompt_text(tokenizer, messages))


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
    texts = render_chats(tokenizer, [messages[:-1] for messages in dialogues])
    prompts = tokenizer(texts, add_special_tokens=False)["input_ids"]
    responses = tokenizer([messages[-1]["content"] for messages in dialogues], add_special_tokens=False)["input_ids"]
    end = terminator(tokenizer)
    return [
        Encoded([*prompt, *response, end], [0] * len(prompt) + [1] * (len(response) + 1))
        for prompt, response in zip(prompts, responses, strict=True)
    ]
