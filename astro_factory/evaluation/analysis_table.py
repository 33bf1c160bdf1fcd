"""An analysis for the eye: which differences hold, whether going back pays, how judging went."""

from collections.abc import Mapping
from typing import Any

from astro_factory.core.verdicts import Outcome
from astro_factory.evaluation.analysis import UNJUDGED_LIMIT
from astro_factory.evaluation.report_tables import Grid, GridTables, cell


def analysis_table(analysis: Mapping[str, Any]) -> GridTables:
    """The tables of an `analysis.json` for a rich console; a line names each arm that could not be judged well."""
    grids = [_differences(analysis)] if analysis["differences"] else []
    grids += [_backtracks(analysis["backtracks"])] if analysis["backtracks"] else []
    grids.append(_verdicts(analysis["verdicts"]))
    remarks = [
        f"{arm}: over {UNJUDGED_LIMIT:.0%} of the samples timed out or failed when they were judged"
        for arm, entry in analysis["verdicts"].items()
        if entry["too_many_unjudged"]
    ]
    return GridTables(grids, remarks)


def _differences(analysis: Mapping[str, Any]) -> Grid:
    entries = analysis["differences"]
    rows = [
        [
            f"{entry['arm']} - {entry['baseline']}",
            entry["metric"],
            f"{entry['difference']:+.3f}",
            f"{entry['p']:.4f}",
            f"{entry['p_corrected']:.4f}",
            "yes" if entry["holds"] else "no",
        ]
        for entry in entries
    ]
    header = ["pair", "metric", "difference", "p", "p (Holm)", "holds"]
    return Grid(f"which of {len(entries)} differences hold", header, rows)


def _backtracks(backtracks: Mapping[str, Any]) -> Grid:
    """Correlations with their intervals; nothing stands where nothing varies."""
    parts = ("samples", "within_problems")
    rows = [[arm, *(_correlation(entry[part]) for part in parts)] for arm, entry in backtracks["arms"].items()]
    if "between_arms" in backtracks:
        rows.append(["between the arms' means", _correlation(backtracks["between_arms"]), ""])
    return Grid("correlation of backtracks with being right", ["arm", "over all samples", "within problems"], rows)


def _correlation(entry: Mapping[str, float] | None) -> str:
    return cell(entry, signed=True) if entry else ""


def _verdicts(verdicts: Mapping[str, Any]) -> Grid:
    given = [str(outcome) for outcome in Outcome if any(outcome in entry["shares"] for entry in verdicts.values())]
    rows = [[arm, *(f"{entry['shares'].get(name, 0):.1%}" for name in given)] for arm, entry in verdicts.items()]
    return Grid("verdicts", ["arm", *given], rows)
