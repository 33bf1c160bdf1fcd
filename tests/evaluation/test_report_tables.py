import io

import pytest
from rich.console import Console

from astro_factory.evaluation.report import report_from_samples
from astro_factory.evaluation.report_schema import Report
from astro_factory.evaluation.report_tables import (
    comparison_grids,
    comparison_table,
    comparison_text,
    headline_grids,
    headline_table,
)
from tests.evaluation.test_report import comparison, rows_of


def make_report() -> Report:
    samples = []
    for index in range(10):
        samples += rows_of("direct", str(index), "cwnt", cluster=str(index // 2))
        samples += rows_of("astro", str(index), "ccwn", tokens=200, cluster=str(index // 2))
    settings = {"compare": [["astro", "direct"]], "equal_tokens": [["astro", "direct"]], "suite": {"name": "sums"}}
    return report_from_samples(samples, comparison(4, ("direct", "astro"), **settings))


def test_plain_text_shows_every_value_with_its_interval(golden):
    golden(comparison_text(make_report()))


def test_rich_shows_the_same_cells():
    stream = io.StringIO()
    console = Console(file=stream, width=160)
    console.print(comparison_table(make_report()))
    shown = stream.getvalue()
    for part in (
        "sums: 10 problems in 5 clusters",
        "[avg-of-4]",
        "[0.250, 0.250]",
        "astro - direct",
        "+0.250",
        "10 timeout",
    ):
        assert part in shown


def test_a_report_without_pairs_is_one_table():
    report = report_from_samples(rows_of("a", "1", "c"), comparison(1))
    assert len(comparison_grids(report)) == 1
    assert comparison_text(report).startswith("p: 1 problem, 95% intervals\n")


def test_levels_follow_and_the_problems_without_one_are_named():
    samples = rows_of("a", "1", "c", level="easy") + rows_of("a", "2", "w") + rows_of("a", "3", "w")
    titles = [grid.title for grid in comparison_grids(report_from_samples(samples, comparison(1)))]
    assert titles[1:] == ["no level: 2 problems", "easy: 1 problem"]


def test_a_control_that_only_some_sources_have_stands_with_their_names():
    samples = []
    for source, check in (("p", True), ("q", None)):
        for arm, outcomes in (("a", "ccc"), ("b", "wcw")):
            rows = rows_of(arm, "1", outcomes, source=source, cluster=source)
            samples += [row | {"accepted": check and row["outcome"] == "correct"} for row in rows]
    pooled = comparison(3, ("a", "b"), equal_tokens=[("a", "b")], suite={"problems": ["p", "q"]})
    report = report_from_samples(samples, pooled)
    assert report.equal_tokens[0].sample_and_check is None
    control = next(grid for grid in comparison_grids(report) if grid.title.startswith("sampling the baseline"))
    assert [row[0] for row in control.rows] == ["a\nb\non p alone"]


def test_a_vote_that_costs_more_than_the_arm_says_so():
    samples = rows_of("a", "1", "c", tokens=3) + rows_of("b", "1", "c", tokens=10)
    report = report_from_samples(samples, comparison(1, ("a", "b"), equal_tokens=[("a", "b")]))
    (votes,) = (grid for grid in comparison_grids(report) if grid.title == "at equal tokens")
    assert votes.rows[0][2] == "0.30 (one costs more)"
    assert "1 problem: below 30" in comparison_text(report)


@pytest.mark.parametrize(
    "outcome, said", [("c", "is 1 everywhere, so the interval has no width; down to 0.912"), ("w", "up to 0.088")]
)
def test_an_interval_without_width_does_not_mean_certainty(outcome, said):
    """With 40 problems, a share of .088 has been missed by all of them in one of 40 cases."""
    samples = [row for index in range(40) for row in rows_of("a", str(index), outcome)]
    assert said in comparison_text(report_from_samples(samples, comparison(1)))
    samples += rows_of("a", "other", "w" if outcome == "c" else "c")
    assert "no width" not in comparison_text(report_from_samples(samples, comparison(1)))


@pytest.mark.parametrize("width", [50, 60, 80, 100])
def test_a_narrow_terminal_gets_several_tables_and_every_cell_whole(width):
    stream = io.StringIO()
    Console(file=stream, width=width).print(comparison_table(make_report()))
    for grid in comparison_grids(make_report()):
        for cell in [cell for row in (grid.header, *grid.rows) for cell in row]:
            assert all(part in stream.getvalue() for part in cell.split("\n"))


def test_the_headline_is_one_line_an_arm_and_a_pair():
    arms, pairs = headline_grids(make_report())
    assert arms.header == ["arm", "pass@1[avg-of-4]", "tokens"]
    assert arms.rows == [["direct", "0.250 [0.250, 0.250]", "10.0"], ["astro", "0.500 [0.500, 0.500]", "200.0"]]
    assert pairs.rows == [
        ["astro - direct", "+0.250 [+0.250, +0.250]"],
        ["astro - direct's vote at equal tokens", "+0.167 [+0.167, +0.167]"],
    ]
    stream = io.StringIO()
    Console(file=stream, width=80).print(headline_table(make_report()))
    assert "could not be judged" in stream.getvalue()


def test_the_headline_of_a_report_without_pairs_is_one_table():
    assert len(headline_grids(report_from_samples(rows_of("a", "1", "c"), comparison(1)))) == 1
