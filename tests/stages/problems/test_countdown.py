from pathlib import Path

import pytest
from pydantic import ValidationError

from astro_factory.core.context import Events, Items, StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table
from astro_factory.stages.problems import countdown
from astro_factory.stages.problems.countdown import Config, make_problems
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.countdown_puzzles import bucket_of, split_of


class NoItems(Items):
    def get(self, key):
        return None

    def put(self, key, value):
        pass


class Quiet(Events):
    def progress(self, done, total, unit="", **figures):
        pass

    def metric(self, step, values):
        pass

    def log(self, text):
        pass


def run(stage, config, out: Path):
    out.mkdir()
    stage.run(StageContext("s", {}, {}, out, out, NoItems(), Quiet()), config)


def config(**fields):
    return Config(kind="countdown", **{"numbers": {3: 0.4, 4: 0.6}, "count": 50, **fields})


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_problems_are_distinct_solvable_and_of_their_split(split):
    problems = list(make_problems(config(split=split)))
    assert len({problem.id for problem in problems}) == 50
    verifier = get_verifier("countdown")
    for problem in problems:
        assert verifier.check_problem(problem) is None
        assert verifier.verify(problem, f"answer {problem.answer}").correct
        assert split_of(problem.info["numbers"]) == split
        assert 10 <= problem.info["target"] <= 40
        assert problem.info["target"] not in problem.info["numbers"]
    assert [p.level for p in problems].count("3 numbers") == 20
    assert [p.level for p in problems[:10]].count("3 numbers") == 4


def test_sources_with_different_buckets_share_no_number_set():
    sources = [[2, 3, 4], [5, 6, 7], [8, 9]]
    found = [{tuple(sorted(p.info["numbers"])) for p in make_problems(config(buckets=own))} for own in sources]
    assert all(found) and not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])
    assert {bucket_of(numbers) for numbers in found[2]} == {8, 9}


def test_buckets_divide_the_training_split_alone():
    with pytest.raises(ValidationError, match="'buckets' divides the training split, and 'split' is test"):
        config(buckets=[2], split="test")


def test_a_problem_reads_as_decided():
    problem = next(make_problems(config()))
    numbers, target = problem.info["numbers"], problem.info["target"]
    assert problem.question == f"numbers {' '.join(map(str, numbers))} target {target}"
    assert problem.id == f"countdown-{'-'.join(map(str, sorted(numbers)))}-t{target}"
    assert problem.info["max_value"] == 40


def test_asking_for_more_keeps_the_earlier_problems():
    assert list(make_problems(config(count=80)))[:50] == list(make_problems(config()))
    assert list(make_problems(config(seed=1))) != list(make_problems(config()))


def test_equal_weights_in_a_list():
    levels = [problem.level for problem in make_problems(config(numbers=[3, 4, 5], count=9))]
    assert sorted(levels) == ["3 numbers"] * 3 + ["4 numbers"] * 3 + ["5 numbers"] * 3


def test_writes_the_same_bytes_twice(tmp_path):
    run(countdown, config(), tmp_path / "a")
    run(countdown, config(), tmp_path / "b")
    table = tmp_path / "a" / "problems.parquet"
    assert table.read_bytes() == (tmp_path / "b" / "problems.parquet").read_bytes()
    assert [Problem.from_row(row) for row in read_table(table)] == list(make_problems(config()))


def test_says_how_many_problems_there_are(monkeypatch):
    monkeypatch.setattr(countdown, "_PATIENCE", 3000)
    with pytest.raises(UserError) as error:
        list(make_problems(config(numbers=[2], number_range=(5, 6), count=50)))
    # 5 + 5, 5 + 6, 5 * 5, 5 * 6, 6 + 6, 6 * 6: whichever of these number sets are in train.
    assert str(error.value).startswith("E411 the train split has only ")
    assert " distinct countdown problems of 2 numbers from 5 to 6, and 50 problems with these" in str(error.value)
    assert "lower 'count', widen 'number_range' or 'target_range', or use more numbers" in str(error.value)
