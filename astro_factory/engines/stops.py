"""When a sample ends: by an end id, by a token that holds a stop string, or by a stop string spread over tokens.

Most stop strings are one character (a line feed). Whether a token holds one is a property of the token, so it becomes
a table over the vocabulary and costs nothing per step; longer stop strings also need the text of the last few tokens.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np


class Stops:
    """Stop rules of one tokenizer; tables are built once for each set of stop strings."""

    def __init__(self, tokenizer: Any, vocabulary: int):
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self.table = lru_cache(maxsize=32)(self._table)
        self._texts: list[str] | None = None

    def _table(self, stop: tuple[str, ...]) -> np.ndarray:
        """For each token id, whether its own text holds a stop string."""
        if self._texts is None:
            known = min(self._vocabulary, len(self._tokenizer))
            self._texts = self._tokenizer.batch_decode([[i] for i in range(known)], skip_special_tokens=True)
        table = np.zeros(self._vocabulary, bool)
        table[[i for i, text in enumerate(self._texts) if any(s in text for s in stop)]] = True
        return table

    @staticmethod
    def needs_text(stop: Sequence[str]) -> bool:
        """Whether a stop string can be spread over several tokens."""
        return any(len(s.encode()) > 1 for s in stop)

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
