"""Search around a model, the control of search inside it: sample until the domain's check accepts, or the budget ends.

A response that backtracks spends its tokens one attempt after the other and stops at the first that it believes in. So
may anyone who samples the baseline again and again, with a check that reads nothing but the question
(`Verifier.accepts`). Unlike a vote of a fixed number of samples, this control stops early too. Stricter still, the
check may read the steps while they are sampled, and end a failed attempt before its answer (`Verifier.fails_at`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from astro_factory.core.verdicts import Outcome
from astro_factory.evaluation.metrics import Samples
from astro_factory.evaluation.report_schema import Control

LIMITS = (0.25, 0.375, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0)
"""Token budgets of a curve, as multiples of the suite's `max_tokens`."""


class AtLimit(NamedTuple):
    """One problem's numbers each, under a token budget."""

    correct: np.ndarray
    """Chance of a correct answer within the budget."""
    tokens: np.ndarray
    """Mean tokens spent."""
    exhausted: np.ndarray
    """Share of runs that had budget left when the samples ran out: with more samples, each might have been correct."""


class Attempts:
    """An arm's samples as runs of attempts: sample, check, stop or sample again.

    With n samples of a problem there are n runs, one starting at each sample and going round. The samples are
    independent, so each run is one that might have happened, and their mean has less variance than a single run's.
    """

    def __init__(self, problems: Sequence[Samples], check_steps: bool = False):
        """`problems` are the samples of each, equally many, with `accepted` not null.

        With `check_steps` a sample that is rejected costs its tokens up to the step that shows it (`fails_after`): the
        check reads the steps while they are sampled. Otherwise each costs all its tokens.
        """
        runs = np.array([_runs(rows, check_steps) for rows in problems])
        self._cost, self._correct, self._total = runs[..., 0], runs[..., 1], runs[..., 2]

    def at(self, limit: float) -> AtLimit:
        """Stop at the first accepted attempt; an attempt that passes `limit` tokens in all gives no answer."""
        done = self._cost <= limit
        tokens = np.where(done, self._cost, np.minimum(self._total, limit))
        out = ~done & (self._total < limit)
        return AtLimit((done * self._correct).mean(axis=1), tokens.mean(axis=1), out.mean(axis=1))

    def limit_for(self, tokens: float) -> int:
        """The largest budget under which the runs spend at most `tokens` on average.

        Where the samples run out before that, the budget lies above them all, and `at` counts runs that would go on.
        """
        low, high = 0, int(self._total.max()) + 1
        beyond = self.at(high)
        if beyond.exhausted.any() and beyond.tokens.mean() <= tokens:
            return high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.at(middle).tokens.mean() <= tokens else (low, middle)
        return low


def rounds(samples: int) -> np.ndarray:
    """The order of the samples in the run that starts at each and goes round; shape [samples, samples]."""
    starts = np.arange(samples)
    return (starts[:, None] + starts) % samples


def one_response(problems: Sequence[Samples], limit: float) -> AtLimit:
    """A single response of the arm, cut off without an answer if it is longer than `limit` tokens."""
    tokens = np.array([[row["tokens"] for row in rows] for rows in problems], dtype=float)
    correct = np.array([[row["outcome"] == Outcome.CORRECT for row in rows] for rows in problems])
    right, spent = correct & (tokens <= limit), np.minimum(tokens, limit)
    return AtLimit(right.mean(axis=1), spent.mean(axis=1), np.zeros(len(tokens)))


def has_check(problems: Sequence[Samples]) -> bool:
    """Whether the domain's check has looked at every sample."""
    return all(row.get("accepted") is not None for rows in problems for row in rows)


def controls(problems: Sequence[Samples]) -> dict[Control, Attempts]:
    """The sequential controls that an arm's samples allow: none without a check of the domain, that of the steps only
    where some rejected sample shows before its end that it fails."""
    if not has_check(problems):
        return {}
    found: dict[Control, Attempts] = {"sample_and_check": Attempts(problems)}
    if any(row.get("fails_after") is not None for rows in problems for row in rows):
        found["check_steps"] = Attempts(problems, check_steps=True)
    return found


def _runs(samples: Samples, check_steps: bool) -> np.ndarray:
    """For the run from each sample on: tokens until the first one is accepted (infinite if none is), whether that one
    is correct, tokens of all samples; shape [samples, 3]."""
    early = [row.get("fails_after") if check_steps else None for row in samples]
    costs = np.array([row["tokens"] if own is None else own for row, own in zip(samples, early, strict=True)], float)
    accepted = np.array([bool(row["accepted"]) for row in samples])
    correct = np.array([row["outcome"] == Outcome.CORRECT for row in samples])
    starts, order = np.arange(len(samples)), rounds(len(samples))
    spent, first = np.cumsum(costs[order], axis=1), np.argmax(accepted[order], axis=1)
    found = accepted.any()
    cost = np.where(found, spent[starts, first], np.inf)
    return np.stack([cost, found & correct[order[starts, first]], spent[:, -1]], axis=1)
