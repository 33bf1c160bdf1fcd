"""Unbiased estimates for one problem from n samples of it.

Each is the mean over all subsets of k of the n samples, in closed form, so it does not depend on their order and more
samples only make it sharper.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import comb


def pass_at_k(correct: int, samples: int, k: int) -> float:
    """Chance that at least one of k samples is right: 1 - C(n - c, k) / C(n, k); for k = 1 the share of right ones.

    Args:
        correct: c, how many of the samples are right.
        samples: n, at least k.
    """
    _check(samples, k)
    return 1 - comb(samples - correct, k) / comb(samples, k)


def majority_at_k(answers: Sequence[str], correct: Sequence[bool], k: int) -> float:
    """Chance that the answer most of k samples give is right.

    A sample without an answer ("") does not vote. Answers with equally many votes win equally often. Where samples of
    one answer have different verdicts, the answer counts as their share of right ones.
    """
    _check(len(answers), k)
    votes = Counter(answers)
    silent = votes.pop("", 0)
    right = Counter(answer for answer, verdict in zip(answers, correct, strict=True) if verdict and answer)
    total = 0.0
    for answer, count in sorted(right.items()):
        others = sorted(votes[other] for other in votes if other != answer)
        total += count / votes[answer] * _win_chance(votes[answer], tuple(others), silent, k)
    return total


@lru_cache(maxsize=1 << 16)
def _win_chance(own: int, others: tuple[int, ...], silent: int, k: int) -> float:
    """Chance that `own` votes win when k samples are drawn without replacement and ties are split evenly.

    Counts the draws by (votes drawn of other answers, answers that have as many votes as ours), exactly.
    """
    wins: Counter[int] = Counter()
    for mine in range(1, min(own, k) + 1):
        draws = Counter({(0, 0): 1})
        for size in others:
            grown: Counter[tuple[int, int]] = Counter()
            for (drawn, ties), ways in draws.items():
                for votes in range(min(size, mine, k - mine - drawn) + 1):
                    grown[drawn + votes, ties + (votes == mine)] += ways * comb(size, votes)
            draws = grown
        for (drawn, ties), ways in draws.items():
            wins[ties + 1] += comb(own, mine) * ways * comb(silent, k - mine - drawn)
    return sum(ways / (winners * comb(own + sum(others) + silent, k)) for winners, ways in sorted(wins.items()))


def _check(samples: int, k: int) -> None:
    if not 1 <= k <= samples:
        raise ValueError(f"k is {k}, but there are {samples} samples")
