"""Unbiased estimates for one problem from n samples of it.

Each is the mean over all subsets of k of the n samples, in closed form: it does not depend on their order, and more
samples only reduce its variance.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import comb


def pass_at_k(correct: int, samples: int, k: int) -> float:
    """Chance that at least one of k samples is correct: 1 - C(n - c, k) / C(n, k); for k = 1 the share that is correct.

    Args:
        correct: c, how many of the samples are correct.
        samples: n, at least k.
    """
    _check(samples, k)
    return 1 - comb(samples - correct, k) / comb(samples, k)


def majority_at_k(answers: Sequence[str], correct: Sequence[bool], k: int) -> float:
    """Chance that the most frequent answer of k samples is correct.

    A sample without an answer ("") does not vote. Ties are split evenly. If samples with the same answer have different
    verdicts, the answer counts as the share of them that is correct.
    """
    _check(len(answers), k)
    votes = Counter(answers)
    abstentions = votes.pop("", 0)
    correct_votes = Counter(answer for answer, verdict in zip(answers, correct, strict=True) if verdict and answer)
    total = 0.0
    for answer, count in sorted(correct_votes.items()):
        others = sorted(votes[other] for other in votes if other != answer)
        total += count / votes[answer] * _win_chance(votes[answer], tuple(others), abstentions, k)
    return total


@lru_cache(maxsize=1 << 16)
def _win_chance(own: int, others: tuple[int, ...], abstentions: int, k: int) -> float:
    """Chance that `own` votes win when k samples are drawn without replacement and ties are split evenly.

    Counts all draws by (votes drawn for other answers, answers tied with ours); exact.
    """
    wins: Counter[int] = Counter()
    for ours in range(1, min(own, k) + 1):
        draws = Counter({(0, 0): 1})
        for size in others:
            extended: Counter[tuple[int, int]] = Counter()
            for (drawn, ties), ways in draws.items():
                for votes in range(min(size, ours, k - ours - drawn) + 1):
                    extended[drawn + votes, ties + (votes == ours)] += ways * comb(size, votes)
            draws = extended
        for (drawn, ties), ways in draws.items():
            wins[ties + 1] += comb(own, ours) * ways * comb(abstentions, k - ours - drawn)
    return sum(ways / (winners * comb(own + sum(others) + abstentions, k)) for winners, ways in sorted(wins.items()))


def _check(samples: int, k: int) -> None:
    if not 1 <= k <= samples:
        raise ValueError(f"k is {k}, but there are {samples} samples")
