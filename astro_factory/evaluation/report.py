"""The report of a comparison, computed from its samples alone: no model, no verifier, no problem file is needed.

    report = report_from_samples(read_table(folder / "samples.parquet"), comparison)
    report.arms["astro_rl"]["pass@1[avg-of-8]"]     # value=0.819 low=0.79 high=0.846

Every arm is reported on its first `suite.samples` samples, so metrics of equal name are comparable; what `samples_for`
adds is used by the equal-token control alone.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from astro_factory.core.canonical import seed_for
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.intervals import CONFIDENCE, RESAMPLES, Bootstrap, Interval, detectable
from astro_factory.evaluation.metrics import Row, Samples, interpolated, metric_name, per_problem, solved_at, voted_at
from astro_factory.evaluation.report_schema import (
    BacktrackCount,
    CurvePoint,
    EqualTokens,
    PairedDifference,
    ProblemGroup,
    Report,
    ReportSettings,
    SampleAndCheck,
    TokenCurve,
    ValueInterval,
)
from astro_factory.evaluation.sequential import LIMITS, AtLimit, Attempts, controls, one_response

_DIGITS = 6

Table = Sequence[dict[str, Samples]]
"""For each problem: arm to its samples, in order."""


def report_from_samples(samples: Sequence[Row], comparison: Comparison) -> Report:
    """The content of `report.json`. `samples` are the rows of `samples.parquet` of all arms, in any order.

    Raises:
        ValueError: an arm lacks samples of some problem, or all of them.
    """
    table, suite = by_problem(samples), comparison.suite
    _check_complete(table, comparison)
    overall = _group(table, comparison)
    sources = _by_column(table, "source", comparison)
    levels = _by_column(table, "level", comparison) if suite.levels else {}
    counts: dict[str, dict[str, BacktrackCount]] = {}
    if comparison.backtracks is not None:
        counts = {arm: _correct_by_backtracks(table, arm, suite.samples) for arm in comparison.arms}
    return Report(
        suite=suite.title,
        settings=ReportSettings(
            problems=suite.problems,
            samples=suite.samples,
            temperature=suite.temperature,
            max_tokens=suite.max_tokens,
            verifiers=sorted({row["verifier"] for row in samples}),
            seed=comparison.seed,
            cluster=suite.cluster,
            confidence=CONFIDENCE,
            resamples=RESAMPLES,
        ),
        problems=overall.problems,
        clusters=overall.clusters,
        arms=overall.arms,
        paired=overall.paired,
        equal_tokens=overall.equal_tokens,
        levels=levels,
        sources=sources,
        macro=_macro(sources, comparison.arms),
        outcomes={arm: _outcomes(table, arm, suite.samples) for arm in comparison.arms},
        correct_by_backtracks=counts,
        curves=_curves(table, comparison),
    )


def by_problem(samples: Sequence[Row]) -> Table:
    """The samples of each problem by arm, problems in the order of their names."""
    table: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(samples, key=lambda row: (row["source"], row["problem"], row["sample"])):
        table[row["source"], row["problem"]][row["arm"]].append(row)
    return [{**arms} for arms in table.values()]


def _check_complete(table: Table, comparison: Comparison) -> None:
    """Every figure compares arms on the same problems, with as many samples of each."""
    if not table:
        raise ValueError("there are no samples")
    for arm in comparison.arms:
        counts = [len(arms.get(arm, ())) for arms in table]
        if min(counts) < max(max(counts), 1):
            row = next(iter(table[counts.index(min(counts))].values()))[0]
            place = f"problem '{row['problem']}' of '{row['source']}'"
            raise ValueError(f"arm '{arm}' has {min(counts)} samples of {place} and {max(counts)} of others")


def clusters_of(table: Table) -> list[str]:
    """The name of each problem's cluster."""
    return [next(iter(arms.values()))[0]["cluster"] for arms in table]


def values_of(table: Table, comparison: Comparison) -> dict[str, dict[str, list[float]]]:
    """Arm to metric to one value for each problem, over the samples that are reported."""
    suite = comparison.suite
    return {arm: per_problem(suite.metrics, [arms[arm][: suite.samples] for arms in table]) for arm in comparison.arms}


def _by_column(table: Table, column: str, comparison: Comparison) -> dict[str, ProblemGroup]:
    """The numbers for each value of a column; empty where there is only one value."""
    groups: dict[str, list[dict[str, Samples]]] = defaultdict(list)
    for arms in table:
        groups[next(iter(arms.values()))[0][column]].append(arms)
    return {name: _group(group, comparison) for name, group in sorted(groups.items())} if len(groups) > 1 else {}


def _macro(sources: dict[str, ProblemGroup], arms: Sequence[str]) -> dict[str, dict[str, float]]:
    """Arm to metric to the mean over sources: a suite of 500 and 30 problems is not the larger source alone."""
    if not sources:
        return {}
    groups = list(sources.values())
    return {
        arm: {
            name: round(sum(group.arms[arm][name].value for group in groups) / len(groups), _DIGITS)
            for name in groups[0].arms[arm]
        }
        for arm in arms
    }


def _group(table: Table, comparison: Comparison) -> ProblemGroup:
    """All numbers over a set of problems."""
    clusters = clusters_of(table)
    bootstrap = Bootstrap(clusters, seed_for(comparison.seed, "bootstrap"))
    values = values_of(table, comparison)
    return ProblemGroup(
        problems=len(table),
        clusters=len(set(clusters)),
        arms={
            arm: {name: rounded(bootstrap.interval(column)) for name, column in columns.items()}
            for arm, columns in values.items()
        },
        paired=[
            _paired(arm, baseline, name, _difference(bootstrap, values[arm][name], values[baseline][name]))
            for arm, baseline in comparison.compare
            for name in values[arm]
        ],
        equal_tokens=[
            _equal_tokens(table, bootstrap, arm, baseline, comparison.suite.samples)
            for arm, baseline in comparison.equal_tokens
        ],
    )


def _paired(arm: str, baseline: str, metric: str, found: ValueInterval) -> PairedDifference:
    varies = found.low < found.high  # else nothing is known of how a difference scatters
    return PairedDifference(
        arm=arm,
        baseline=baseline,
        metric=metric,
        difference=found.value,
        low=found.low,
        high=found.high,
        detectable=round(detectable(found.low, found.high), _DIGITS) if varies else None,
    )


def _equal_tokens(table: Table, bootstrap: Bootstrap, arm: str, baseline: str, samples: int) -> EqualTokens:
    """One sample of the arm against the vote of as many samples of the baseline as cost the same.

    `votes` is the ratio of their mean tokens; no more samples can vote than exist, and `capped` reports that.
    """
    ours = [arms[arm][:samples] for arms in table]
    theirs = [arms[baseline] for arms in table]
    tokens = {arm: mean_tokens(ours), baseline: mean_tokens(theirs)}
    available = len(theirs[0])
    wanted, votes = affordable(tokens[arm], tokens[baseline], available)
    solved = [solved_at(rows, 1) for rows in ours]
    voted = [interpolated(voted_at, rows, votes) for rows in theirs]
    oracle = [interpolated(solved_at, rows, votes) for rows in theirs]
    difference = _difference(bootstrap, solved, voted)
    sequential: dict[str, Any] = {
        name: _sequential(bootstrap, solved, attempts, tokens[arm]) for name, attempts in controls(theirs).items()
    }
    return EqualTokens(
        arm=arm,
        baseline=baseline,
        tokens={name: round(value, _DIGITS) for name, value in tokens.items()},
        votes=round(wanted, _DIGITS),
        capped=wanted > available,
        arm_metric=metric_name("pass", 1, samples),
        arm_value=rounded(bootstrap.interval(solved)),
        baseline_metric=metric_name("maj", votes, available),
        baseline_value=rounded(bootstrap.interval(voted)),
        difference=difference.value,
        low=difference.low,
        high=difference.high,
        oracle_metric=metric_name("pass", votes, available),
        oracle_value=rounded(bootstrap.interval(oracle)),
        **sequential,
    )


def _sequential(bootstrap: Bootstrap, solved: Sequence[float], attempts: Attempts, tokens: float) -> SampleAndCheck:
    limit = attempts.limit_for(tokens)
    found = attempts.at(limit)
    difference = _difference(bootstrap, solved, list(found.correct))
    if_solved = _difference(bootstrap, solved, list(found.correct + found.exhausted))
    return SampleAndCheck(
        limit=limit,
        tokens=round(float(found.tokens.mean()), _DIGITS),
        value=rounded(bootstrap.interval(list(found.correct))),
        difference=difference.value,
        low=if_solved.low,
        high=difference.high,
        exhausted=round(float(found.exhausted.mean()), _DIGITS),
    )


def _curves(table: Table, comparison: Comparison) -> list[TokenCurve]:
    """One response of each arm up to the suite's token limit; sampling until the check accepts also beyond it."""
    suite = comparison.suite
    bootstrap = Bootstrap(clusters_of(table), seed_for(comparison.seed, "bootstrap"))
    limits = [share * suite.max_tokens for share in LIMITS]

    def point(limit: float, found: AtLimit) -> CurvePoint:
        tokens, exhausted = (round(float(each.mean()), _DIGITS) for each in (found.tokens, found.exhausted))
        value = rounded(bootstrap.interval(list(found.correct)))
        return CurvePoint(limit=limit, tokens=tokens, value=value, exhausted=exhausted)

    curves = []
    for arm in comparison.arms:
        ours = [arms[arm][: suite.samples] for arms in table]
        single = [point(limit, one_response(ours, limit)) for limit in limits if limit <= suite.max_tokens]
        curves.append(TokenCurve(arm=arm, control="one_response", points=single))
        for control, attempts in controls([arms[arm] for arms in table]).items():
            points = [point(limit, attempts.at(limit)) for limit in limits]
            curves.append(TokenCurve(arm=arm, control=control, points=points))
    return curves


def affordable(tokens: float, cost: float, available: int) -> tuple[float, float]:
    """How many samples of `cost` tokens each `tokens` buy: the ratio, and the same within what can vote, from one
    sample to all that are available."""
    wanted = tokens / max(cost, 1.0)  # no sample costs less than a token
    return wanted, min(max(wanted, 1.0), float(available))


def mean_tokens(problems: Sequence[Samples]) -> float:
    """Tokens of a sample, averaged over each problem's samples and then over the problems."""
    return sum(sum(row["tokens"] for row in rows) / len(rows) for rows in problems) / len(problems)


def _difference(bootstrap: Bootstrap, ours: Sequence[float], theirs: Sequence[float]) -> ValueInterval:
    return rounded(bootstrap.interval([a - b for a, b in zip(ours, theirs, strict=True)]))


def rounded(interval: Interval) -> ValueInterval:
    """An interval as files hold it, with six decimals."""
    value, low, high = (round(number, _DIGITS) for number in interval)
    return ValueInterval(value=value, low=low, high=high)


def _outcomes(table: Table, arm: str, samples: int) -> dict[str, int]:
    counts = Counter(row["outcome"] for arms in table for row in arms[arm][:samples])
    return {str(outcome): counts[outcome] for outcome in sorted(counts)}


def _correct_by_backtracks(table: Table, arm: str, samples: int) -> dict[str, BacktrackCount]:
    """Number of backtracks to how many samples have it and what share of them is correct."""
    groups: dict[int, list[bool]] = defaultdict(list)
    for arms in table:
        for row in arms[arm][:samples]:
            groups[row["backtracks"]].append(row["outcome"] == "correct")
    return {
        str(count): BacktrackCount(samples=len(correct), correct=round(sum(correct) / len(correct), _DIGITS))
        for count, correct in sorted(groups.items())
    }
