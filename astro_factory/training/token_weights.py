"""The loss weight of each token of a dialogue, from the weighted segments of its response. Needs no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astro_factory.core.chat import Encoded, Message

Spans = list[tuple[int, int, float]]
"""Start, end and weight of pieces of a text, in characters. What is in no span has weight 1."""
SPAN_COLUMNS = ("weight", "learned")
"""Fields of a trace's segments that hold a weight; a trace has one of them or none."""


def weighted_spans(segments: Sequence[Mapping[str, Any]]) -> Spans:
    """The spans of a trace's segments whose weight is not 1; empty for segments without weights."""
    column = next((name for name in SPAN_COLUMNS if segments and name in segments[0]), None)
    if column is None:
        return []
    return [(s["start"], s["end"], float(s[column])) for s in segments if s[column] != 1]


def token_weights(tokenizer: Any, messages: Sequence[Message], encoded: Encoded, spans: Spans) -> np.ndarray | None:
    """Each id's weight: that of the span with the id's last character, else 1. None without spans.

    `tokenizer` is any fast tokenizer; it is only called.
    """
    if not spans:
        return None
    weights = np.ones(len(encoded.ids), np.float32)
    first = encoded.response_mask.index(1)
    offsets = tokenizer(messages[-1]["content"], add_special_tokens=False, return_offsets_mapping=True)
    for place, (_, end) in enumerate(offsets["offset_mapping"], start=first):
        weights[place] = next((weight for low, high, weight in spans if low < end <= high), 1.0)
    return weights
