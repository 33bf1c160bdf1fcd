"""What a report's samples say beyond its table: which differences hold, whether backtracking pays, how judging went.

    analysis = analysis_from_samples(read_table(folder / "samples.parquet"), comparison)
    analysis["differences"][0]["p_corrected"]

Made of nothing but the samples, as the report is.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from astro_factory.core.canonical import seed_for
from astro_factory.core.verdicts import Outcome
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.intervals import Bootstrap
from astro_factory.evaluation.metrics import Row, per_problem
from astro_factory.evaluation.report import Table, by_problem
from astro_factory.evaluation.significance import holm, sign_flip_p

UNJUDGED_LIMIT = 0.01
"""Share of samples that may end in a timeout or an error before the report says so."""
_LEVEL = 0.05
_DIGITS = 6
_SCORES = ("pass@", "maj@")


def analysis_from_samples(samples: Sequence[Row], comparison: Comparison) -> dict[str, Any]:
    """The content of `analysis.json`. `samples` are the rows of `samples.parquet` of all arms, in any order."""
    table = by_problem(samples)
    return {
        "differences": _differences(table, comparison),
        "backtracks": _backtracks(table, comparison) if comparison.backtracks is not None else {},
        "verdicts": {arm: _verdicts(table, arm, comparison.suite.samples) for arm in comparison.arms},
    }


def _differences(table: Table, comparison: Comparison) -> list[dict[str, Any]]:
    """Every comparison of scores with its p-value, alone and corrected for all of them together."""
    clusters = _clusters(table)
    suite = comparison.suite
    values = {
        arm: per_problem(suite.metrics, [arms[arm][: suite.samples] for arms in table]) for arm in comparison.arms
    }
    entries = []
    for arm, baseline in comparison.compare:
        for metric, ours in values[arm].items():
            if metric.startswith(_SCORES):
                gaps = [a - b for a, b in zip(ours, values[baseline][metric], strict=True)]
                p = sign_flip_p(gaps, clusters, seed_for(comparison.seed, "flips"))
                entries.append(
                    {"arm": arm, "baseline": baseline, "metric": metric, "difference": np.mean(gaps), "p": p}
                )
    for entry, corrected in zip(entries, holm([entry["p"] for entry in entries]), strict=True):
        entry["p_corrected"] = round(corrected, _DIGITS)
        entry["holds"] = corrected < _LEVEL
        entry["p"], entry["difference"] = round(entry["p"], _DIGITS), round(float(entry["difference"]), _DIGITS)
    return entries


def _backtracks(table: Table, comparison: Comparison) -> dict[str, Any]:
    """Pearson's correlation of a sample's backtracks with its being right, by arm, and of the arms' means with theirs.

    Within an arm hard problems bring both more backtracks and more mistakes, so it says little of what backtracking
    does; `within_problems` takes each problem's means away first.
    """
    suite, bootstrap = comparison.suite, Bootstrap(_clusters(table), seed_for(comparison.seed, "bootstrap"))
    counts = {arm: _matrix(table, arm, suite.samples, _count) for arm in comparison.arms}
    right = {arm: _matrix(table, arm, suite.samples, _right) for arm in comparison.arms}
    found: dict[str, Any] = {"arms": {}}
    for arm in comparison.arms:
        x, y = counts[arm], right[arm]
        inside = (x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True))
        found["arms"][arm] = {
            "samples": _shown(bootstrap.statistic([x, y], _pearson)),
            "within_problems": _shown(bootstrap.statistic(inside, _pearson)),
        }
    if len(comparison.arms) > 2:
        means = [matrix.mean(1) for arm in comparison.arms for matrix in (counts[arm], right[arm])]
        found["between_arms"] = _shown(bootstrap.statistic(means, _pearson_of_arms))
    return found


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of all entries; NaN where one of them never varies."""
    x, y = x.ravel() - x.mean(), y.ravel() - y.mean()
    scale = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / scale) if scale > 1e-12 else float("nan")


def _pearson_of_arms(*columns: np.ndarray) -> float:
    means = np.array([column.mean() for column in columns])
    return _pearson(means[::2], means[1::2])


def _shown(interval: tuple[float, float, float]) -> dict[str, float] | None:
    """None where nothing varies, and so nothing correlates."""
    if any(np.isnan(value) for value in interval):
        return None
    return {name: round(value, _DIGITS) for name, value in zip(("value", "low", "high"), interval, strict=True)}


def _matrix(table: Table, arm: str, samples: int, of: Any) -> np.ndarray:
    return np.array([[of(row) for row in arms[arm][:samples]] for arms in table], dtype=np.float64)


def _count(row: Row) -> float:
    return row["backtracks"]


def _right(row: Row) -> float:
    return row["outcome"] == Outcome.CORRECT


def _verdicts(table: Table, arm: str, samples: int) -> dict[str, Any]:
    """Share of each outcome, over all samples and by level, and whether too many could not be judged."""
    rows = [row for arms in table for row in arms[arm][:samples]]
    shares = _shares(rows)
    unjudged = sum(shares.get(outcome, 0.0) for outcome in (Outcome.TIMEOUT, Outcome.ERROR))
    levels = sorted({row["level"] for row in rows})
    return {
        "shares": shares,
        "levels": {level: _shares([row for row in rows if row["level"] == level]) for level in levels if level},
        "too_many_unjudged": unjudged > UNJUDGED_LIMIT,
    }


def _shares(rows: Sequence[Row]) -> dict[str, float]:
    counts = Counter(row["outcome"] for row in rows)
    return {str(outcome): round(counts[outcome] / len(rows), _DIGITS) for outcome in Outcome if counts[outcome]}


def _clusters(table: Table) -> list[str]:
    return [next(iter(arms.values()))[0]["cluster"] for arms in table]
