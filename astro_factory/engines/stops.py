"""When a sample ends: at an end id, at a token that contains a stop string, or at a stop string spread over tokens.

Two tables over the vocabulary state for each token whether it contains a stop string (a line feed, say), and whether
it can complete one that began in an earlier token. Only after a token of the second kind is the text examined, so
long stop strings cost almost nothing.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

_BROKEN = "\ufffd"


class StopTables(NamedTuple):
    """For each token id: whether it contains a stop string, and whether it may complete one."""

    holds: np.ndarray
    completes: np.ndarray


class Stops:
    """Stop rules of one tokenizer. Tables are built once per set of stop strings."""

    def __init__(self, tokenizer: Any, vocabulary: int):
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self.tables = lru_cache(maxsize=32)(self._tables)

    @cached_property
    def _texts(self) -> list[str]:
        """The text of each token."""
        known = min(self._vocabulary, len(self._tokenizer))
        return self._tokenizer.batch_decode([[i] for i in range(known)], skip_special_tokens=True)

    def _tables(self, stop: tuple[str, ...]) -> StopTables:
        tables = StopTables(np.zeros(self._vocabulary, bool), np.zeros(self._vocabulary, bool))
        tails = tuple(s[i:] for s in stop for i in range(1, len(s)))
        for index, text in enumerate(self._texts if stop else ()):
            tables.holds[index] = any(s in text for s in stop)
            # a token that is part of a character may complete any text
            tables.completes[index] = text.startswith(tails) or (_BROKEN in text and not _is_ascii(stop))
        return tables

    def ended(self, ids: Sequence[int], stop: Sequence[str]) -> bool:
        """Whether the text of the last tokens contains a stop string; a token is at least a byte."""
        tail = max(len(s.encode()) for s in stop) + 4
        return self.cut(self.text(ids[-tail:]), stop) is not None

    def text(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    @staticmethod
    def cut(text: str, stop: Sequence[str]) -> str | None:
        """The text before the first stop string, or None without one."""
        places = [place for s in stop if (place := text.find(s)) >= 0]
        return text[: min(places)] if places else None


def end_ids(generation_config: Any, tokenizer: Any) -> list[int]:
    """Ids that end a sample: the tokenizer's, and those of the model's generation config, if any."""
    ids = {tokenizer.eos_token_id}
    configured = getattr(generation_config, "eos_token_id", None)
    ids |= set(configured) if isinstance(configured, (list, tuple)) else {configured}
    return sorted(i for i in ids if i is not None)


def _is_ascii(stop: Sequence[str]) -> bool:
    return all(s.isascii() for s in stop)
