"""The training data of an sft stage: token ids and loss weights as the stage computes them, and its steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from astro_factory.core.chat import encode_dialogues
from astro_factory.core.dialogues import dialogue_table
from astro_factory.core.tables import read_columns
from astro_factory.exporting.source import Source
from astro_factory.training.batches import steps_of
from astro_factory.training.settings import SFTSettings

if TYPE_CHECKING:
    from astro_factory.training.corpus import Corpus

IGNORED = -100
"""Label of a token without loss, as in transformers."""


@dataclass(frozen=True)
class Dialogues:
    """The dialogues that a stage trains on, in the order of its table."""

    settings: SFTSettings
    corpus: "Corpus"
    messages: list[list[dict[str, str]]]
    """The conversations, without those that are too long."""
    steps: list[list[int]]
    """The dialogues of each optimizer step of the stage."""

    def __len__(self) -> int:
        return len(self.corpus)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest dialogue."""
        return max(self.corpus.lengths())

    @property
    def batch_size(self) -> int:
        """Dialogues in a step; with `batch_tokens` in an average step."""
        if self.settings.batch_tokens is None:
            return self.settings.batch_size
        return max(1, round(sum(map(len, self.steps)) / len(self.steps)))

    @cached_property
    def step_tokens(self) -> int:
        """Tokens in an average step, without padding."""
        lengths = self.corpus.lengths()
        return round(sum(lengths[i] for step in self.steps for i in step) / len(self.steps))

    @property
    def fractional(self) -> bool:
        """Whether some token's loss weight is neither 0 nor 1."""
        weights = self.corpus.loss_weights
        return weights is not None and not np.isin(weights, (0, 1)).all()

    @property
    def weighted(self) -> bool:
        """Whether some token of a response has another loss weight than 1."""
        weights = self.corpus.loss_weights
        return weights is not None and bool((weights != 1).any())

    def weights(self) -> Iterator[tuple[list[int], np.ndarray]]:
        """Token ids and loss weights of each dialogue: 0 where the stage has no loss.

        Nothing predicts the first token, so its weight is 0.
        """
        corpus = self.corpus
        weights = np.ones(len(corpus.ids), np.float32) if corpus.loss_weights is None else corpus.loss_weights.copy()
        if self.settings.loss == "response":
            weights[~corpus.mask] = 0
        weights[corpus.starts[:-1]] = 0
        for i in range(len(corpus)):
            part = slice(corpus.starts[i], corpus.starts[i + 1])
            yield corpus.ids[part].tolist(), weights[part]


def read_dialogues(source: Source) -> Dialogues:
    """Encode the stage's data as training does.

    Raises:
        UserError: E152 if the data is not built, E501 to E503 if it cannot be trained on.
    """
    from astro_factory.training.corpus import load_corpus

    settings, folder = source.sft, source.input(source.sft.data)
    longest = settings.max_length or source.positions
    corpus = load_corpus(folder, source.tokenizer, longest)
    target = None
    if settings.match_tokens:
        matched = load_corpus(source.input(settings.match_tokens), source.tokenizer, longest)
        target = settings.epochs * sum(matched.lengths())
    steps = steps_of(settings, corpus.lengths(), target)
    messages: list[Any] = [row["messages"] for row in read_columns(dialogue_table(folder), ["messages"])]
    if corpus.dropped:
        encoded = encode_dialogues(source.tokenizer, messages)
        messages = [one for one, ids in zip(messages, encoded, strict=True) if len(ids.ids) <= longest]
    return Dialogues(settings, corpus, messages, steps)
