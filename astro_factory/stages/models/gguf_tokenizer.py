"""The tokenizer in the metadata of a GGUF file: byte-level BPE, as Llama 3 and SmolLM have it.

A file names the pattern that splits text into words (`tokenizer.ggml.pre`) without containing it, so only patterns that
are known here can be used: another one would give other tokens than the model was trained on.
"""

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from astro_factory.stages.models.gguf_file import GgufFile

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_MODEL = "gpt2"
"""GGUF's name of byte-level BPE."""
_LISTS = {"tokens": str, "merges": str, "token_type": int}
"""The lists that it needs, with the type of their values."""
_CONTROL, _USER_DEFINED = 3, 4
"""Types of tokens that text is searched for before it is split: control tokens, which are special, and plain ones."""
_ROLES = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
CHAT_TEMPLATE = "tokenizer.chat_template"


class _Splitting(NamedTuple):
    """How text is split before merges are applied."""

    pattern: str = ""
    """A regular expression; empty for that of GPT-2."""
    digits: bool = False
    """Whether each digit stands alone."""
    whole_words: bool = False
    """Whether a word that is a token needs no merges."""
    bos: bool = False
    """Whether the first token is added, where the file does not say so."""


_LLAMA3 = _Splitting(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    whole_words=True,
    bos=True,
)
_SPLITTINGS = {
    "gpt-2": _Splitting(),
    "smollm": _Splitting(digits=True),
    "llama-bpe": _LLAMA3,
    "llama-v3": _LLAMA3,
    "llama3": _LLAMA3,
}


def tokenizer_fault(file: GgufFile) -> str:
    """Why the file's tokenizer cannot be used; empty if it can."""
    model, splitting = _value(file, "model"), _value(file, "pre")
    if model != _MODEL:
        return f"its tokenizer is of the type '{model}', not '{_MODEL}'" if model else "it has no tokenizer"
    if not isinstance(splitting, str) or splitting not in _SPLITTINGS:
        return f"its tokenizer splits text as '{splitting}', which is not one of {', '.join(sorted(_SPLITTINGS))}"
    if missing := [name for name, type in _LISTS.items() if not _is_list(_value(file, name), type)]:
        return f"its tokenizer has no list '{missing[0]}'"
    tokens, merges = _value(file, "tokens"), _value(file, "merges")
    if len(_value(file, "token_type")) != len(tokens):
        return f"its tokenizer has {len(tokens)} tokens and {len(_value(file, 'token_type'))} types"
    known = set(tokens)
    if twice := [token for token, count in Counter(tokens).items() if count > 1]:
        return f"its tokenizer has the token '{twice[0]}' twice"
    for name in _ROLES.values():
        index = _value(file, f"{name}_token_id")
        if index is not None and not (type(index) is int and 0 <= index < len(tokens)):
            return f"its 'tokenizer.ggml.{name}_token_id' is not the number of a token"
    if _value(file, "eos_token_id") is None:
        return "its tokenizer names no token that ends a response ('tokenizer.ggml.eos_token_id')"
    for merge in merges:
        parts = merge.split(" ")
        if len(parts) != 2 or not known.issuperset([*parts, "".join(parts)]):
            return f"its tokenizer merges '{merge}', which are not tokens"
    return "" if isinstance(file.metadata.get(CHAT_TEMPLATE), str) else "it has no chat template"


def _is_list(found: object, type: type) -> bool:
    return isinstance(found, list) and all(isinstance(value, type) for value in found)


def build_tokenizer(file: GgufFile) -> "PreTrainedTokenizerFast":
    """The tokenizer of a file without a `tokenizer_fault`."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens, types = _value(file, "tokens"), _value(file, "token_type")
    splitting = _SPLITTINGS[_value(file, "pre")]
    merges = [tuple(merge.split(" ")) for merge in _value(file, "merges")]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    bpe = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=splitting.whole_words))
    first: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if splitting.digits else []
    if splitting.pattern:
        first.append(pre_tokenizers.Split(Regex(splitting.pattern), behavior="isolated"))
    in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not splitting.pattern)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([*first, in_bytes])
    bpe.decoder = decoders.ByteLevel()
    for kind, add in ((_CONTROL, bpe.add_special_tokens), (_USER_DEFINED, bpe.add_tokens)):
        found = (token for token, its in zip(tokens, types, strict=True) if its == kind)
        add([AddedToken(token, normalized=False, special=kind == _CONTROL) for token in found])
    roles = {
        role: tokens[index] for role, name in _ROLES.items() if (index := _value(file, f"{name}_token_id")) is not None
    }
    if _value(file, "add_bos_token", splitting.bos) and "bos_token" in roles:
        bpe.post_processor = _starting_with(roles["bos_token"], vocabulary[roles["bos_token"]])
    built = PreTrainedTokenizerFast(
        tokenizer_object=bpe, model_max_length=file.metadata["llama.context_length"], **roles
    )
    built.chat_template = file.metadata[CHAT_TEMPLATE]
    return built


def _starting_with(token: str, index: int) -> Any:
    from tokenizers import processors

    return processors.TemplateProcessing(
        single=f"{token} $A", pair=f"{token} $A {token}:1 $B:1", special_tokens=[(token, index)]
    )


def _value(file: GgufFile, name: str, default: Any = None) -> Any:
    return file.metadata.get(f"tokenizer.ggml.{name}", default)
