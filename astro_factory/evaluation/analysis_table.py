"""An analysis as tables for a terminal."""

from collections.abc import Mapping

from astro_factory.core.verdicts import Outcome
from astro_factory.evaluation.analysis import UNJUDGED_LIMIT
from astro_factory.evaluation.report_schema import (
    Analysis,
    ArmVerdicts,
    BacktrackCorrelations,
    DifferenceTest,
    ValueInterval,
)
from astro_factory.evaluation.report_tables import Grid, GridTables, interval_cell
from astro_factory.evaluation.significance import P_FLOOR


def analysis_table(analysis: Analysis) -> GridTables:
    """The tables of an `analysis.json` for a rich console, with a warning for each arm that was judged badly."""
    grids = [_differences(analysis.differences)] if analysis.differences else []
    grids += [_backtracks(analysis.backtracks)] if analysis.backtracks.arms else []
    grids.append(_verdicts(analysis.verdicts))
    warnings = [
        f"{arm}: the verifier timed out or failed on more than {UNJUDGED_LIMIT:.0%} of the samples"
        for arm, verdicts in analysis.verdicts.items()
        if verdicts.too_many_unjudged
    ]
    return GridTables(grids, warnings)


def _differences(tests: list[DifferenceTest]) -> Grid:
    rows = [
        [
            f"{test.arm} - {test.baseline}",
            test.metric,
            f"{test.difference:+.3f}",
            _p(test.p, test),
            _p(test.p_corrected, test),
            "yes" if test.holds else "no",
        ]
        for test in tests
    ]
    header = ["pair", "metric", "difference", "p", "p (Holm)", "significant"]
    return Grid(f"significance of {len(tests)} differences", header, rows)


def _p(value: float, test: DifferenceTest) -> str:
    """A p-value; with `<` where no sampled sign pattern was as extreme, so that only a bound is known."""
    return f"{'<' if test.p <= P_FLOOR else ''}{value:.4f}" if value >= 0.0001 else "<0.0001"


def _backtracks(backtracks: BacktrackCorrelations) -> Grid:
    """Correlations with their intervals; a cell is empty where nothing varies."""
    rows = [
        [arm, _correlation(entry.samples), _correlation(entry.within_problems)]
        for arm, entry in backtracks.arms.items()
    ]
    if (between := backtracks.between_arm_means) is not None:
        rows.append([f"between the means of {len(backtracks.arms)} arms", f"{between:+.3f}", ""])
    return Grid("correlation of backtracks with being correct", ["arm", "all samples", "within problems"], rows)


def _correlation(entry: ValueInterval | None) -> str:
    return interval_cell(entry.value, entry.low, entry.high, signed=True) if entry else ""


def _verdicts(verdicts: Mapping[str, ArmVerdicts]) -> Grid:
    given = [str(outcome) for outcome in Outcome if any(outcome in arm.shares for arm in verdicts.values())]
    rows = [[arm, *(f"{entry.shares.get(name, 0):.1%}" for name in given)] for arm, entry in verdicts.items()]
    return Grid("verdicts", ["arm", *given], rows)
