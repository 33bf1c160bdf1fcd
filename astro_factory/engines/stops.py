"""When a sample ends: by an end id, by a token that holds a stop string, or by a stop string spread over tokens.

Both questions that a token can answer are tables over the vocabulary: whether it holds a stop string (a line feed,
say), and whether it can complete one that began in an earlier token. Only after a token of the second kind the text of
the last few tokens is looked at, so long stop strings cost next to nothing as well.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

_BROKEN = "\ufffd"


class StopTables(NamedTuple):
    """For each token id: does it hold a stop string, and may it complete one?"""

    holds: np.ndarray
    completes: np.ndarray


class Stops:
    """Stop rules of one tokenizer; tables are built once for each set of stop strings."""

    def __init__(self, tokenizer: Any, vocabulary: int):
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self.tables = lru_cache(maxsize=32)(self._tables)
        self._texts: list[str] | None = None

    def _tables(self, stop: tuple[str, ...]) -> StopTables:
        if self._texts is None:
            known = min(self._vocabulary, len(self._tokenizer))
            self._texts = self._tokenizer.batch_decode([[i] for i in range(known)], skip_special_tokens=True)
        tables = StopTables(np.zeros(self._vocabulary, bool), np.zeros(self._vocabulary, bool))
        tails = tuple(s[i:] for s in stop for i in range(1, len(s)))
        for index, text in enumerate(self._texts if stop else ()):
            tables.holds[index] = any(s in text for s in stop)
            # part of a character says nothing about the text it is part of
            tables.completes[index] = text.startswith(tails) or (_BROKEN in text and not _is_ascii(stop))
        return tables

    def ended(self, ids: Sequence[int], stop: Sequence[str]) -> bool:
        """Whether the last tokens' text holds a stop string; a token is a byte or more, so a short tail will do."""
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
    """Ids that end a sample: the tokenizer's and those of the model's generation settings, if it has some."""
    ids = {tokenizer.eos_token_id}
    configured = getattr(generation_config, "eos_token_id", None)
    ids |= set(configured) if isinstance(configured, (list, tuple)) else {configured}
    return sorted(i for i in ids if i is not None)


def _is_ascii(stop: Sequence[str]) -> bool:
    return all(s.isascii() for s in stop)
