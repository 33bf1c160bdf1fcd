"""A small Llama with random weights and its own tokenizer, the start of training from scratch.

Equal configurations give equal bytes.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.canonical import seed_for
from astro_factory.core.config import LATER, StageConfig, TemplateField
from astro_factory.core.config import Config as CoreConfig
from astro_factory.core.context import StageContext
from astro_factory.core.model_shapes import ModelShape, read_shape

OUTPUT = ArtifactType.MODEL
VERSION = 1
HEAVY = True
_VOCABULARY = 2000
"""Tokens of a usual vocabulary here."""


class Architecture(CoreConfig):
    """The shape of the model; names are those of `transformers.LlamaConfig`."""

    hidden_size: int = Field(128, gt=0)
    """Width of the residual stream."""
    num_hidden_layers: int = Field(4, gt=0)
    """Number of layers."""
    num_attention_heads: int = Field(4, gt=0)
    """Number of query heads. vLLM needs a head size, hidden_size / num_attention_heads, of 32 or more."""
    num_key_value_heads: int = Field(4, gt=0)
    """Number of key and value heads."""
    intermediate_size: int = Field(384, gt=0)
    """Width of the MLP."""
    max_position_embeddings: int = Field(1024, gt=0)
    """Longest sequence in tokens."""
    rope_theta: float = Field(10000.0, gt=0)
    """Base of the rotary position embedding."""
    tie_word_embeddings: bool = True
    """Whether the output layer is the embedding matrix."""
    initializer_range: float = Field(0.04, gt=0)
    """Standard deviation of the random weights."""

    @model_validator(mode="after")
    def _divisible(self) -> "Architecture":
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError("hidden_size has to be a multiple of twice num_attention_heads")
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError("num_attention_heads has to be a multiple of num_key_value_heads")
        return self


class Vocabulary(CoreConfig):
    """Numbers, punctuation and these words have one token each; everything else is spelled in bytes."""

    numbers: int = Field(100, ge=0)
    """The whole numbers from 0 to this one have one token each."""
    words: list[str] = Field(default_factory=list)
    """Words; text is split at white space and punctuation."""
    word_sources: list[TemplateField] = Field(default_factory=list)
    """Templates whose literal words enter the vocabulary."""
    commands: Annotated[list[str], LATER] = Field(default_factory=list)
    """LaTeX commands without their backslash, such as `boxed`; one token each."""


class Config(StageConfig):
    kind: Literal["init"]
    architecture: Architecture = Field(default_factory=lambda: Architecture.model_validate({}))
    """Shape of the model."""
    vocabulary: Vocabulary = Field(default_factory=lambda: Vocabulary.model_validate({}))
    """Tokens of the tokenizer."""
    chat_template: Literal["minimal", "llama3"] = "minimal"
    """`minimal` puts a line break after a question and nothing else; `llama3` is the header format of Llama 3."""
    seed: int = 0
    """Source of the random weights."""


def shape(config: Config, shapes: Mapping[str, ModelShape]) -> ModelShape | None:
    """That of the architecture. The size of the vocabulary is rounded up: only `run` counts it."""
    found = config.architecture.model_dump() | {"model_type": "llama", "vocab_size": _VOCABULARY, "dtype": "float32"}
    return read_shape(found)


def run(ctx: StageContext, config: Config) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from astro_factory.training.weights import silence_transformers
    from astro_factory.training.word_tokenizer import CHAT_FORMATS, build_tokenizer

    silence_transformers()
    shape = config.architecture
    tokenizer = build_tokenizer(
        _words(config),
        config.vocabulary.numbers,
        CHAT_FORMATS[config.chat_template],
        shape.max_position_embeddings,
        config.vocabulary.commands,
    )
    ids: dict[str, Any] = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    llama = LlamaConfig(
        **shape.model_dump(exclude={"rope_theta"}),
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        vocab_size=len(tokenizer),
        **ids,
    )
    torch.manual_seed(seed_for(config.seed, "init"))
    model = LlamaForCausalLM(llama)
    model.save_pretrained(ctx.out)
    tokenizer.save_pretrained(ctx.out)
    ctx.events.log(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens")


def _words(config: Config) -> list[str]:
    from astro_factory.training.word_tokenizer import words_of, words_of_template

    words = [word for text in config.vocabulary.words for word in words_of(text)]
    for template in config.vocabulary.word_sources:
        for source in template.sources.values():
            words += words_of_template(source)
    return words + (["system", "user", "assistant"] if config.chat_template == "llama3" else [])
