"""What two questions have in common: equal words, runs of words, and how much of their runs is shared.

Words are compared without case, punctuation and LaTeX's signs. An ending that all questions of a table share (an
instruction) is ignored.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\w+")
SHINGLE_WORDS = 5
STOCK = 3
"""A run of words in this many questions of one table is a common phrase."""
_COMMON = 500
"""A run of words in more questions than this is no evidence that two of them are equal."""

Words = tuple[str, ...]


def words_of(questions: Sequence[str]) -> list[Words]:
    """The words of each question, without an ending that all of them share."""
    split = [tuple(_WORD.findall(question.casefold())) for question in questions]
    if len(split) < 2:
        return split
    common = 0
    shortest = min(map(len, split))
    while common < shortest - 1 and len({words[-common - 1] for words in split}) == 1:
        common += 1
    return [words[: len(words) - common] for words in split]


def telling(words: Words) -> Words:
    """Without single letters and LaTeX signs, which make up phrases like `as m/n where m and n are`."""
    return tuple(word for word in words if (len(word) > 1 or word.isdigit()) and not word.endswith("frac"))


def runs(words: Words, length: int) -> Iterator[Words]:
    """Every run of `length` words, in order."""
    return (words[start : start + length] for start in range(len(words) - length + 1))


class RunIndex:
    """Index of the runs of one length in a set of questions, without common phrases."""

    def __init__(self, questions: Iterable[Words], length: int, shared_by: int = STOCK):
        """Runs in `shared_by` or more questions are common phrases and left out."""
        self.length = length
        self._first: dict[Words, int] = {}
        counts: Counter[Words] = Counter()
        for number, words in enumerate(questions):
            for run in set(runs(words, length)):
                self._first.setdefault(run, number)
                counts[run] += 1
        for run, count in counts.items():
            if count >= shared_by:
                del self._first[run]

    def find(self, words: Words) -> tuple[int, str] | None:
        """The first question that shares a run with this one, and the whole shared run; None if there is none."""
        for start, run in enumerate(runs(words, self.length)):
            number = self._first.get(run)
            if number is not None:
                end = start + self.length
                while end < len(words) and self._first.get(words[end - self.length + 1 : end + 1]) == number:
                    end += 1
                return number, " ".join(words[start:end])
        return None


@dataclass(frozen=True)
class Twin:
    """A question that duplicates an earlier one."""

    index: int
    of: int
    similarity: float


def twins(questions: Sequence[Words], threshold: float) -> list[Twin]:
    """Questions whose runs of five words agree with those of an earlier, kept one at least to the share `threshold`.

    The similarity is the number of common runs over that of all runs (Jaccard); a shorter question counts by its
    words as one run.
    """
    kept: dict[int, int] = {}
    postings: dict[Words, list[int]] = defaultdict(list)
    found = []
    for index, words in enumerate(questions):
        shingles = set(runs(words, SHINGLE_WORDS)) or {words}
        shared: dict[int, int] = defaultdict(int)
        for shingle in shingles:
            for other in postings.get(shingle, ()):
                shared[other] += 1
        similar = [(common / (len(shingles) + kept[other] - common), -other) for other, common in shared.items()]
        similarity, negative = max(similar, default=(0.0, 0))
        if similar and similarity >= threshold:
            found.append(Twin(index, -negative, similarity))
            continue
        kept[index] = len(shingles)
        for shingle in shingles:
            if len(postings[shingle]) < _COMMON:
                postings[shingle].append(index)
    return found
