"""Which values a judge reads: what it is asked, and the figures of a small model."""

import pytest

from astro_factory.verifiers.puzzles import get_domain
from benchmarks.probe_base import Prober
from benchmarks.probe_judge import drawn_tests, verdicts


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
    from astro_factory.core.context import StageContext
    from astro_factory.stages.models import init

    class Quiet:
        def log(self, text):
            pass

    shape = init.Architecture(hidden_size=64, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2)
    words = init.Vocabulary(words=["find", "x", "to", "mod", "try", "want", "Yes", "No"])
    config = init.Config(kind="init", architecture=shape, vocabulary=words)
    init.run(StageContext("s", {}, {}, tmp_path, tmp_path, None, Quiet()), config)
    tests = list(drawn_tests(get_domain("guess_number"), 12, 3))
    answers = verdicts(Prober(tmp_path), tests)
    assert set(answers) == {test.met for test in tests}
    assert sum(map(len, answers.values())) == len(tests)
