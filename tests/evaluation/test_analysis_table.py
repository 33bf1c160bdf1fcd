"""What `show` prints of an analysis."""

import io

from rich.console import Console

from astro_factory.evaluation.analysis import analysis_from_samples
from astro_factory.evaluation.analysis_table import analysis_table
from tests.evaluation.test_analysis import TEMPLATE
from tests.evaluation.test_report import comparison, rows_of


def printed(samples, compared) -> str:
    stream = io.StringIO()
    Console(file=stream, width=160).print(analysis_table(analysis_from_samples(samples, compared)))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def test_differences_backtracks_and_verdicts(golden):
    samples = []
    for index in range(20):
        samples += rows_of("base", str(index), "ww", backtracks=[0, 0])
        samples += rows_of("a", str(index), "cw" if index < 12 else "wn", backtracks=[1, 0])
        samples += rows_of("b", str(index), "tw" if index < 2 else "ww", backtracks=[2, 2])
    settings = {"compare": [["a", "base"], ["b", "base"]], "suite": {"metrics": ["pass@1"]}, "backtracks": TEMPLATE}
    golden(printed(samples, comparison(2, ("base", "a", "b"), **settings)))


def test_one_arm_has_only_verdicts(golden):
    golden(printed(rows_of("a", "1", "cw"), comparison(2, suite={"metrics": ["pass@1"]})))
