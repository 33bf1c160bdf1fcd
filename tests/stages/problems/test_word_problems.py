from itertools import combinations

import pytest
from pydantic import ValidationError

from astro_factory.core.errors import UserError
from astro_factory.stages.problems import word_problems
from astro_factory.stages.problems.word_problems import Config, make_problems
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.splits import split_of


def config(**fields):
    return Config(kind="word_problems", **{"count": 80, **fields})


def test_is_deterministic_and_a_larger_count_only_appends():
    few, many = list(make_problems(config())), list(make_problems(config(count=160)))
    assert many[:80] == few
    assert list(make_problems(config(seed=1)))[:80] != few


def test_problems_are_distinct_and_accepted_by_their_verifier():
    problems = list(make_problems(config(count=400)))
    assert len({problem.id for problem in problems}) == 400
    verifier = get_verifier("math")
    for problem in problems:
        assert verifier.check_problem(problem) is None
        assert verifier.verify(problem, f"so the answer is \\boxed{{{problem.answer}}}.").correct
        assert not verifier.verify(problem, f"so the answer is \\boxed{{{int(problem.answer) + 1}}}.").correct


def test_splits_share_no_structure():
    splits = {
        split: {
            problem.info["structure"] for problem in make_problems(config(split=split, families={"mix": 1, "undo": 2}))
        }
        for split in ("train", "dev", "test")
    }
    assert not any(splits[first] & splits[second] for first, second in combinations(splits, 2))
    assert all(split_of(structure) == split for split, structures in splits.items() for structure in structures)


def test_families_follow_their_weights():
    problems = list(make_problems(config(families={"read_off": 1, "mix": 3, "ages": 0})))
    levels = [problem.level for problem in problems]
    assert (levels.count("mix"), levels.count("read_off"), len(set(levels))) == (60, 20, 2)


def test_more_problems_than_there_are(monkeypatch):
    monkeypatch.setattr(word_problems, "_PATIENCE", 3000)
    with pytest.raises(UserError) as raised:
        list(make_problems(config(count=5000, split="test", families={"ages": 1})))
    assert [d.code for d in raised.value.diagnostics] == ["E411"]


@pytest.mark.parametrize("families", [{}, {"mix": -1, "undo": 2}, {"mix": 0}])
def test_wrong_weights_are_refused(families):
    with pytest.raises(ValidationError, match="needs at least one family"):
        config(families=families)
