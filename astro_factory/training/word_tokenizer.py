"""A tokenizer with one token per word, for small models of a known vocabulary; other text falls back to bytes.

Every line is encoded as if a space preceded it, so a word has the same id after a space and at the start of a line, and
lines encode independently: `encode(a + "\\n") + encode(b) == encode(a + "\\n" + b)`. It is lossless:
`decode(encode(text)) == text` for any text that does not spell a special token.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_PIECES = r"\n| ?\p{L}+(?:'\p{L}+)*| ?[0-9]+| ?[^\p{L}0-9\s]"
_WORDS = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[0-9]+|[^\w\s]|_")
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


class ChatFormat(NamedTuple):
    """A chat template with the special tokens it uses."""

    bos: str
    eos: str
    pad: str
    others: tuple[str, ...]
    template: str


CHAT_FORMATS = {
    "minimal": ChatFormat(
        bos="<s>",
        eos="</s>",
        pad="<pad>",
        others=(),
        template="{{ bos_token }}{% for message in messages %}"
        "{{ message['content'] }}{{ eos_token if message['role'] == 'assistant' else '\\n' }}"
        "{% endfor %}",
    ),
    "llama3": ChatFormat(
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        pad="<|finetune_right_pad_id|>",
        others=("<|start_header_id|>", "<|end_header_id|>"),
        template="{{ bos_token }}{% for message in messages %}"
        "<|start_header_id|>{{ message['role'] }}<|end_header_id|>{{ '\\n\\n' + message['content'] | trim }}<|eot_id|>"
        "{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{{ '\\n\\n' }}{% endif %}",
    ),
}


def words_of(text: str) -> list[str]:
    """The words, numbers and punctuation marks of a text, in order."""
    return _WORDS.findall(text)


def words_of_template(source: str) -> list[str]:
    """The words in a Jinja template's own output: its literal text and the strings in its expressions."""
    from jinja2 import Environment

    pieces = Environment().lex(source)
    texts = [text.strip("'\"") if kind == "string" else text for _, kind, text in pieces if kind in ("data", "string")]
    return [word for text in texts for word in words_of(text)]


def vocabulary_of(
    words: Iterable[str], largest_number: int, specials: Sequence[str], commands: Sequence[str] = ()
) -> dict[str, int]:
    """Token to id: special tokens, bytes, white space, punctuation, numbers from 0, the words in sorted order, and the
    names of LaTeX commands.

    A word token includes the space before it, the name of a command does not; punctuation marks exist with and without.
    """
    tokens = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), " ", "\n"]
    tokens += [*_PUNCTUATION, *(f" {mark}" for mark in _PUNCTUATION)]
    tokens += [f" {number}" for number in range(largest_number + 1)]
    tokens += [f" {word}" for word in sorted(set(words))]
    tokens += commands
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}


def build_tokenizer(
    words: Iterable[str], largest_number: int, chat: ChatFormat, max_length: int, commands: Sequence[str] = ()
) -> "PreTrainedTokenizerFast":
    """A transformers tokenizer, ready for `save_pretrained`; `max_length` is the model's longest input, in tokens."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = [chat.bos, chat.eos, chat.pad, *chat.others]
    vocabulary = vocabulary_of(words, largest_number, specials, commands)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, ignore_merges=True))
    tokenizer.normalizer = normalizers.Replace(Regex(r"^(?=[^\n])"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), "isolated")
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Fuse(), decoders.Replace(Regex(r"^ "), "")]
    )
    tokenizer.add_special_tokens([AddedToken(special, normalized=False, special=True) for special in specials])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=chat.bos,
        eos_token=chat.eos,
        pad_token=chat.pad,
        chat_template=chat.template,
        clean_up_tokenization_spaces=False,
        model_max_length=max_length,
    )
