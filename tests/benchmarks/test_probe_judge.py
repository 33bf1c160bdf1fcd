"""Which values a judge reads: what it is asked, and the figures of a small model."""

import pytest

from astro_factory.verifiers.puzzles import get_domain
from benchmarks.probe_base import Prober
from benchmarks.probe_judge import drawn_tests, verdicts
from tests.benchmarks.blank_model import write_blank_model


def test_every_test_is_honest_and_says_what_it_meets():
    tests = list(drawn_tests(get_domain("guess_number"), 12, 20))
    assert {test.met for test in tests} == {(a, b) for a in (False, True) for b in (False, True)}
    for met, question, text, _ in tests:
        line, check = text.split("\n")
        found, wanted = (part.split() for part in check.split(" want "))
        assert met == tuple(a == b for a, b in zip(found, wanted, strict=True))
        assert found == [part.split()[-1] for part in line.split(" , ")]
        assert wanted == [part.split()[0] for part in question.split(" = ")[1:]]
    assert sum(all(test.met) for test in tests) == 20


def test_a_domain_that_compares_no_values_is_refused():
    with pytest.raises(SystemExit, match="'sorting' compare no values"):
        list(drawn_tests(get_domain("sorting"), 3, 1))


def test_all_figures_of_a_model(tmp_path):
    write_blank_model(tmp_path, vocabulary={"words": ["find", "x", "to", "mod", "try", "want", "Yes", "No"]})
    tests = list(drawn_tests(get_domain("guess_number"), 12, 3))
    answers = verdicts(Prober(tmp_path), tests)
    assert set(answers) == {test.met for test in tests}
    assert sum(map(len, answers.values())) == len(tests)
