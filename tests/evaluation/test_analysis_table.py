"""What `show` prints of an analysis."""

import io

from rich.console import Console

from astro_factory.evaluation.analysis import analysis_from_samples
from astro_factory.evaluation.analysis_table import analysis_table
from tests.evaluation.test_analysis import TEMPLATE
from tests.evaluation.test_report import comparison, rows_of


def printed(samples, compared) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=160).print(analysis_table(analysis_from_samples(samples, compared)))
    return [" ".join(line.split()) for line in stream.getvalue().splitlines()]


def test_differences_backtracks_and_verdicts():
    samples = []
    for index in range(20):
        samples += rows_of("base", str(index), "ww", backtracks=[0, 0])
        samples += rows_of("a", str(index), "cw" if index < 12 else "wn", backtracks=[1, 0])
        samples += rows_of("b", str(index), "tw" if index < 2 else "ww", backtracks=[2, 2])
    settings = {"compare": [["a", "base"], ["b", "base"]], "suite": {"metrics": ["pass@1"]}, "backtracks": TEMPLATE}
    lines = printed(samples, comparison(2, ("base", "a", "b"), **settings))
    assert "which of 2 differences hold" in lines
    assert "a - base pass@1[avg-of-2] +0.300 0.0005 0.0010 yes" in lines
    assert "b - base pass@1[avg-of-2] +0.000 1.0000 1.0000 no" in lines
    assert "arm over all samples within problems" in lines and "base" in lines
    assert any(line.startswith("a +0.") for line in lines) and any(
        line.startswith("between the arms") for line in lines
    )
    assert "arm correct incorrect no_answer timeout" in lines
    assert "a 30.0% 50.0% 20.0% 0.0%" in lines and "b 0.0% 95.0% 0.0% 5.0%" in lines
    assert lines[-1] == "b: over 1% of the samples timed out or failed when they were judged"


def test_of_one_arm_the_verdicts_are_all():
    lines = list(filter(None, printed(rows_of("a", "1", "cw"), comparison(2, suite={"metrics": ["pass@1"]}))))
    assert lines[0] == "verdicts" and lines[1] == "arm correct incorrect" and lines[-1] == "a 50.0% 50.0%"
