"""Metrics: from an arm's samples to one value for each problem. A metric's name carries its definition."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor
from operator import itemgetter
from typing import Any

from astro_factory.core.verdicts import Outcome
from astro_factory.evaluation.estimators import majority_at_k, pass_at_k
from astro_factory.evaluation.samples import LATER_MEASURES, MEASURES
from astro_factory.evaluation.suite import parse_metric

Row = Mapping[str, Any]
"""A row of `samples.parquet`."""
Samples = Sequence[Row]
"""All samples of one problem from one arm."""


def per_problem(metrics: Sequence[str], problems: Sequence[Samples]) -> dict[str, list[float]]:
    """Metric name to one value for each problem.

    Args:
        metrics: `pass@k` and `maj@k` as a suite names them; the other metrics are always included.
        problems: the samples of each, equally many.
    """
    samples = len(problems[0])
    values = {}
    for metric in metrics:
        kind, k = parse_metric(metric)
        score = solved_at if kind == "pass" else voted_at
        values[metric_name(kind, k, samples)] = [score(rows, k) for rows in problems]
    shares: dict[str, Callable[[Row], float]] = {
        "tokens[mean]": lambda row: row["tokens"],
        "truncated[share]": lambda row: row["finish"] == "length",
        "no_answer[share]": lambda row: row["outcome"] == Outcome.NO_ANSWER,
    }
    for measure in (*MEASURES, *LATER_MEASURES):
        if all(row.get(measure) is not None for rows in problems for row in rows):
            shares[f"{measure}[mean]"] = itemgetter(measure)
    for name, share in shares.items():
        values[name] = [sum(map(share, rows)) / len(rows) for rows in problems]
    return values


def metric_name(kind: str, k: float, samples: int) -> str:
    """`pass@1[avg-of-16]`, `pass@8[of-16]`, `maj@4.6[of-24]`."""
    shown = f"{k:g}" if k == int(k) else f"{k:.2f}"
    return f"{kind}@{shown}[{'avg-of' if (kind, k) == ('pass', 1) else 'of'}-{samples}]"


def solved_at(samples: Samples, k: int) -> float:
    """pass@k of one problem."""
    return pass_at_k(sum(_correct(row) for row in samples), len(samples), k)


def voted_at(samples: Samples, k: int) -> float:
    """maj@k of one problem."""
    return majority_at_k([row["extracted"] for row in samples], [_correct(row) for row in samples], k)


def interpolated(score: Callable[[Samples, int], float], samples: Samples, k: float) -> float:
    """A score at a fractional number of samples, interpolated linearly between the whole numbers around it."""
    low, high = floor(k), ceil(k)
    at_low = score(samples, low)
    return at_low if low == high else at_low + (k - low) * (score(samples, high) - at_low)


def _correct(row: Row) -> bool:
    return row["outcome"] == Outcome.CORRECT
