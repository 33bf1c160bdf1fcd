"""The report of a comparison, made of nothing but its samples: no model, no verifier, no problem file is needed.

    report = report_from_samples(read_table(folder / "samples.parquet"), comparison)
    report["arms"]["astro_rl"]["pass@1[avg-of-8]"]     # {"value": 0.819, "low": 0.79, "high": 0.846}

Every arm is reported on its first `suite.samples` samples, so metrics of equal name are comparable; what `samples_for`
adds is used by the equal-token control alone.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from astro_factory.core.canonical import seed_for
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.intervals import CONFIDENCE, RESAMPLES, Bootstrap, Interval
from astro_factory.evaluation.metrics import Row, Samples, between, metric_name, per_problem, solved_at, voted_at

_DIGITS = 6


def report_from_samples(samples: Sequence[Row], comparison: Comparison) -> dict[str, Any]:
    """The content of `report.json`. `samples` are the rows of `samples.parquet` of all arms, in any order."""
    table = by_problem(samples)
    suite = comparison.suite
    report = {
        "suite": suite.title,
        "settings": {
            "problems": list(suite.problems),
            "samples": suite.samples,
            "temperature": suite.temperature,
            "max_tokens": suite.max_tokens,
            "verifiers": sorted({row["verifier"] for row in samples}),
            "seed": comparison.seed,
            "cluster": suite.cluster,
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
        },
        **_compared(table, comparison),
        "levels": {},
        "sources": {},
        "outcomes": {arm: _outcomes(table, arm, suite.samples) for arm in comparison.arms},
        "correct_by_backtracks": {},
    }
    for part, column, wanted in (("levels", "level", suite.levels), ("sources", "source", True)):
        groups = _grouped(table, column)
        if wanted and len(groups) > 1:
            report[part] = {name: _compared(group, comparison) for name, group in groups.items()}
    if comparison.backtracks is not None:
        counted = {arm: _correct_by_backtracks(table, arm, suite.samples) for arm in comparison.arms}
        report["correct_by_backtracks"] = counted
    return report


Table = list[dict[str, Samples]]
"""For each problem: arm to its samples, in order."""


def by_problem(samples: Sequence[Row]) -> Table:
    table: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(samples, key=lambda row: (row["source"], row["problem"], row["sample"])):
        table[row["source"], row["problem"]][row["arm"]].append(row)
    return list(table.values())


def _grouped(table: Table, column: str) -> dict[str, Table]:
    groups: dict[str, Table] = defaultdict(list)
    for arms in table:
        groups[next(iter(arms.values()))[0][column]].append(arms)
    return dict(sorted(groups.items()))


def _compared(table: Table, comparison: Comparison) -> dict[str, Any]:
    """All numbers over a set of problems."""
    clusters = [next(iter(arms.values()))[0]["cluster"] for arms in table]
    bootstrap = Bootstrap(clusters, seed_for(comparison.seed, "bootstrap"))
    suite = comparison.suite
    values = {
        arm: per_problem(suite.metrics, [arms[arm][: suite.samples] for arms in table]) for arm in comparison.arms
    }
    return {
        "problems": len(table),
        "clusters": len(set(clusters)),
        "arms": {
            arm: {name: _shown(bootstrap.interval(column)) for name, column in columns.items()}
            for arm, columns in values.items()
        },
        "paired": [
            {"arm": arm, "baseline": baseline, "metric": name}
            | _difference(bootstrap, values[arm][name], values[baseline][name])
            for arm, baseline in comparison.compare
            for name in values[arm]
        ],
        "equal_tokens": [
            _equal_tokens(table, bootstrap, arm, baseline, suite.samples) for arm, baseline in comparison.equal_tokens
        ],
    }


def _equal_tokens(table: Table, bootstrap: Bootstrap, arm: str, baseline: str, samples: int) -> dict[str, Any]:
    """One sample of the arm against the vote of as many of the baseline as cost the same.

    `votes` is the ratio of their mean tokens; at most as many samples as there are can vote, and `capped` says so.
    """
    ours = [arms[arm][:samples] for arms in table]
    theirs = [arms[baseline] for arms in table]
    tokens = {arm: _mean_tokens(ours), baseline: _mean_tokens(theirs)}
    wanted = tokens[arm] / tokens[baseline]
    available = len(theirs[0])
    votes = min(max(wanted, 1.0), float(available))
    solved = [solved_at(rows, 1) for rows in ours]
    voted = [between(voted_at, rows, votes) for rows in theirs]
    oracle = [between(solved_at, rows, votes) for rows in theirs]
    return {
        "arm": arm,
        "baseline": baseline,
        "tokens": {name: round(value, _DIGITS) for name, value in tokens.items()},
        "votes": round(wanted, _DIGITS),
        "capped": wanted > available,
        "arm_metric": metric_name("pass", 1, samples),
        "arm_value": _shown(bootstrap.interval(solved)),
        "baseline_metric": metric_name("maj", votes, available),
        "baseline_value": _shown(bootstrap.interval(voted)),
        **_difference(bootstrap, solved, voted),
        "oracle_metric": metric_name("pass", votes, available),
        "oracle_value": _shown(bootstrap.interval(oracle)),
    }


def _mean_tokens(problems: Sequence[Samples]) -> float:
    return sum(sum(row["tokens"] for row in rows) / len(rows) for rows in problems) / len(problems)


def _difference(bootstrap: Bootstrap, ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    shown = _shown(bootstrap.interval([a - b for a, b in zip(ours, theirs, strict=True)]))
    return {"difference": shown["value"], "low": shown["low"], "high": shown["high"]}


def _shown(interval: Interval) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in interval._asdict().items()}


def _outcomes(table: Table, arm: str, samples: int) -> dict[str, int]:
    counts = Counter(row["outcome"] for arms in table for row in arms[arm][:samples])
    return {str(outcome): counts[outcome] for outcome in sorted(counts)}


def _correct_by_backtracks(table: Table, arm: str, samples: int) -> dict[str, dict[str, float]]:
    """Number of backtracks to how many samples have it and what share of them is right."""
    groups: dict[int, list[bool]] = defaultdict(list)
    for arms in table:
        for row in arms[arm][:samples]:
            groups[row["backtracks"]].append(row["outcome"] == "correct")
    return {
        str(count): {"samples": len(right), "correct": round(sum(right) / len(right), _DIGITS)}
        for count, right in sorted(groups.items())
    }
