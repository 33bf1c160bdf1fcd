"""What a report's samples show beyond its table: which differences hold, whether backtracking pays, how judging went.

    analysis = analysis_from_samples(read_table(folder / "samples.parquet"), comparison)
    analysis.differences[0].p_corrected

Computed from the samples alone, as the report is.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from astro_factory.core.canonical import seed_for
from astro_factory.core.verdicts import Outcome
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.intervals import Bootstrap, Interval
from astro_factory.evaluation.metrics import Row
from astro_factory.evaluation.report import Table, by_problem, clusters_of, rounded, values_of
from astro_factory.evaluation.report_schema import (
    Analysis,
    ArmCorrelation,
    ArmVerdicts,
    BacktrackCorrelations,
    DifferenceTest,
    ValueInterval,
)
from astro_factory.evaluation.significance import holm, sign_flip_p

UNJUDGED_LIMIT = 0.01
"""Share of samples that may end in a timeout or an error before the analysis warns."""
_LEVEL = 0.05
_DIGITS = 6
_SCORES = ("pass@", "maj@")


def analysis_from_samples(samples: Sequence[Row], comparison: Comparison) -> Analysis:
    """The content of `analysis.json`. `samples` are the rows of `samples.parquet` of all arms, in any order."""
    table = by_problem(samples)
    return Analysis(
        differences=_differences(table, comparison),
        backtracks=BacktrackCorrelations() if comparison.backtracks is None else _backtracks(table, comparison),
        verdicts={arm: _verdicts(table, arm, comparison.suite.samples) for arm in comparison.arms},
    )


def _differences(table: Table, comparison: Comparison) -> list[DifferenceTest]:
    """Every compared score with its p-value, alone and corrected for all of them together."""
    clusters, values = clusters_of(table), values_of(table, comparison)
    tests: list[tuple[str, str, str, float, float]] = []
    for arm, baseline in comparison.compare:
        for metric, ours in values[arm].items():
            if metric.startswith(_SCORES):
                differences = [a - b for a, b in zip(ours, values[baseline][metric], strict=True)]
                p = sign_flip_p(differences, clusters, seed_for(comparison.seed, "flips"))
                tests.append((arm, baseline, metric, float(np.mean(differences)), p))
    return [
        DifferenceTest(
            arm=arm,
            baseline=baseline,
            metric=metric,
            difference=round(difference, _DIGITS),
            p=round(p, _DIGITS),
            p_corrected=round(corrected, _DIGITS),
            holds=corrected < _LEVEL,
        )
        for (arm, baseline, metric, difference, p), corrected in zip(tests, holm([t[-1] for t in tests]), strict=True)
    ]


def _backtracks(table: Table, comparison: Comparison) -> BacktrackCorrelations:
    """Pearson's correlation of a sample's backtracks with its being correct, by arm, and between the arms' means.

    Within an arm hard problems cause both more backtracks and more mistakes, so the plain correlation says little about
    what backtracking does; `within_problems` first subtracts each problem's means.
    """
    suite, bootstrap = comparison.suite, Bootstrap(clusters_of(table), seed_for(comparison.seed, "bootstrap"))
    counts = {arm: _matrix(table, arm, suite.samples, _count) for arm in comparison.arms}
    correct = {arm: _matrix(table, arm, suite.samples, _correct) for arm in comparison.arms}
    arms: dict[str, ArmCorrelation] = {}
    for arm in comparison.arms:
        x, y = counts[arm], correct[arm]
        centered = (x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True))
        arms[arm] = ArmCorrelation(
            samples=_known(bootstrap.statistic([x, y], _pearson)),
            within_problems=_known(bootstrap.statistic(centered, _pearson)),
        )
    if len(comparison.arms) <= 2:
        return BacktrackCorrelations(arms=arms)
    means = np.array([(counts[arm].mean(), correct[arm].mean()) for arm in comparison.arms])
    between = _pearson(means[:, 0], means[:, 1])
    return BacktrackCorrelations(arms=arms, between_arm_means=None if np.isnan(between) else round(between, _DIGITS))


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of all entries; NaN where one of them never varies."""
    x, y = x.ravel() - x.mean(), y.ravel() - y.mean()
    scale = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / scale) if scale > 1e-12 else float("nan")


def _known(interval: Interval) -> ValueInterval | None:
    """None where nothing varies, and so nothing correlates."""
    return None if any(np.isnan(value) for value in interval) else rounded(interval)


def _matrix(table: Table, arm: str, samples: int, value: Callable[[Row], float]) -> np.ndarray:
    """A value of every sample; shape [problems, samples]."""
    return np.array([[value(row) for row in arms[arm][:samples]] for arms in table], dtype=np.float64)


def _count(row: Row) -> float:
    return row["backtracks"]


def _correct(row: Row) -> float:
    return row["outcome"] == Outcome.CORRECT


def _verdicts(table: Table, arm: str, samples: int) -> ArmVerdicts:
    """Share of each outcome, over all samples and by level, and whether too many could not be judged."""
    rows = [row for arms in table for row in arms[arm][:samples]]
    shares = _shares(rows)
    unjudged = sum(shares.get(outcome, 0.0) for outcome in (Outcome.TIMEOUT, Outcome.ERROR))
    levels = sorted({row["level"] for row in rows})
    return ArmVerdicts(
        shares=shares,
        levels={level: _shares([row for row in rows if row["level"] == level]) for level in levels if level},
        too_many_unjudged=unjudged > UNJUDGED_LIMIT,
    )


def _shares(rows: Sequence[Row]) -> dict[str, float]:
    counts = Counter(row["outcome"] for row in rows)
    return {str(outcome): round(counts[outcome] / len(rows), _DIGITS) for outcome in Outcome if counts[outcome]}
