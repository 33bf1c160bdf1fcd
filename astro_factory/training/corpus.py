"""The training data as token ids and masks, built from parts and checked before the first step.

A corpus keeps its ids in one flat array: half a million short dialogues take megabytes, not gigabytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from astro_factory.core.chat import Encoded, Message, encode_dialogues, terminator
from astro_factory.core.dialogues import dialogue_table
from astro_factory.core.errors import UserError
from astro_factory.core.tables import read_batches
from astro_factory.training.batches import padded_width
from astro_factory.training.token_weights import SPAN_COLUMNS, Spans, token_weights, weighted_spans

IGNORED = -100
"""Label of a token without loss, as in transformers."""

_CHUNK = 2000


@dataclass(frozen=True)
class Corpus:
    """Encoded dialogues; dialogue i is `ids[starts[i]:starts[i + 1]]`."""

    ids: np.ndarray
    mask: np.ndarray
    """For each id, whether it is part of a response."""
    loss_weights: np.ndarray | None
    """For each id, its weight in the loss (`learn_wrong_steps` and `loss_weights` of linearize); None if all are 1."""
    starts: np.ndarray
    dropped: int
    """Dialogues that were left out because they are too long."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def lengths(self) -> list[int]:
        return np.diff(self.starts).tolist()

    def encoded(self, index: int) -> Encoded:
        part = slice(self.starts[index], self.starts[index + 1])
        return Encoded(self.ids[part].tolist(), self.mask[part].astype(int).tolist())


def load_corpus(folder: Path, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Corpus:
    """Read a traces or dialogues artifact, without dialogues of more than `max_length` tokens.

    Raises `UserError` E501 if nothing is left, E502 or E503 if the tokenizer cannot represent the data.
    """
    ids: list[np.ndarray] = []
    mask: list[np.ndarray] = []
    weights: list[np.ndarray | None] = []
    lengths, dropped = [0], 0
    for chunk, spans in _chunks(dialogue_table(folder)):
        for messages, encoded, weighted in zip(chunk, encode_dialogues(tokenizer, chunk), spans, strict=True):
            if len(encoded.ids) > max_length:
                dropped += 1
                continue
            if not lengths[1:]:
                check_mask(tokenizer, messages, encoded)
            lengths.append(len(encoded.ids))
            ids.append(np.array(encoded.ids, np.int32))
            mask.append(np.array(encoded.response_mask, bool))
            weights.append(token_weights(tokenizer, messages, encoded, weighted))
    if not ids:
        raise UserError.of(
            "E501",
            f"there is nothing to train on: all {dropped} dialogues are longer than {max_length} tokens",
            "raise max_length, or check the stage that wrote the data",
        )
    loss_weights = None
    if any(found is not None for found in weights):
        ones = (np.ones(len(part), np.float32) for part in ids)
        loss_weights = np.concatenate(
            [one if found is None else found for found, one in zip(weights, ones, strict=True)]
        )
    return Corpus(np.concatenate(ids), np.concatenate(mask), loss_weights, np.cumsum(lengths), dropped)


def check_mask(tokenizer: PreTrainedTokenizerBase, messages: list[Message], encoded: Encoded) -> None:
    """Check that the mask covers exactly the response and its terminator. Raises `UserError` E502 or E503."""
    first = encoded.response_mask.index(1) if 1 in encoded.response_mask else len(encoded.ids)
    trained, response = encoded.ids[first:], messages[-1]["content"]
    if not trained or 0 in encoded.response_mask[first:] or trained[-1] != terminator(tokenizer):
        raise UserError.of(
            "E502",
            "the mask of a dialogue is not a single response that ends with the tokenizer's end-of-sequence token",
            "check the tokenizer's chat template and eos_token",
        )
    text = tokenizer.decode(trained[:-1], clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    if text.split() != response.split():
        raise UserError.of(
            "E503",
            f"the tokenizer does not decode a text to itself: {response[:60]!r} became {text[:60]!r}",
            "use a tokenizer that can represent the training data",
        )


class Collator:
    """Pads the sequences of one micro-batch, given as `[{"rows": [indices]}]`, on the right.

    A batch has `loss_weights` only if some token's weight is neither 0 nor 1.
    """

    def __init__(self, corpus: Corpus, pad_id: int, loss: str):
        self._ids = torch.from_numpy(corpus.ids.astype(np.int64))
        labels = corpus.ids.astype(np.int64)
        if loss == "response":
            labels[~corpus.mask] = IGNORED
        if corpus.loss_weights is not None:
            labels[corpus.loss_weights == 0] = IGNORED
        self._labels = torch.from_numpy(labels)
        fractional = corpus.loss_weights is not None and not np.isin(corpus.loss_weights, (0, 1)).all()
        self._loss_weights = torch.from_numpy(corpus.loss_weights) if fractional else None
        self._spans = list(pairwise(corpus.starts.tolist()))
        self._pad_id = pad_id

    def __call__(self, rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        [row] = rows
        spans = [self._spans[i] for i in row["rows"]]
        # A process without a sequence in this step still takes part in it, with an empty loss.
        width = padded_width(max([end - start for start, end in spans], default=2))
        ids = torch.full((max(1, len(spans)), width), self._pad_id)
        labels = torch.full_like(ids, IGNORED)
        attention = torch.zeros_like(ids)
        weights = torch.zeros(ids.shape)
        for i, (start, end) in enumerate(spans):
            ids[i, : end - start] = self._ids[start:end]
            labels[i, : end - start] = self._labels[start:end]
            attention[i, : end - start] = 1
            if self._loss_weights is not None:
                weights[i, : end - start] = self._loss_weights[start:end]
        if not spans:
            attention[:] = 1
        batch = {"input_ids": ids, "labels": labels, "attention_mask": attention}
        return batch if self._loss_weights is None else batch | {"loss_weights": weights}


def _chunks(path: Path) -> Iterator[tuple[list[list[Message]], list[Spans]]]:
    """Dialogues, each with the weighted spans of its last message."""
    import pyarrow.parquet as pq

    paths = [column.path for column in pq.ParquetFile(path).schema]
    column = next((name for name in SPAN_COLUMNS if f"segments.list.element.{name}" in paths), None)
    for batch in read_batches(path, _CHUNK, ["messages", *(["segments"] if column else [])]):
        messages = batch.column("messages").to_pylist()
        segments = batch.column("segments").to_pylist() if column else [[]] * len(messages)
        yield messages, list(map(weighted_spans, segments))
