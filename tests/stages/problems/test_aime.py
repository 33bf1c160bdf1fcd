"""Real competition problems without a network: those of the wheel `sgl-eval`, which `make test-setup` installs."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table
from astro_factory.stages.problems import decontaminate
from astro_factory.stages.problems.file import Config, run
from astro_factory.verifiers import get_verifier
from tests.training.tiny import context

SPEC = find_spec("sgl_eval")
pytestmark = pytest.mark.skipif(SPEC is None, reason="sgl-eval is not installed; `make test-setup` does it")
FIELDS = {"id": "id", "question": "problem", "answer": "expected_answer"}


def build(root: Path, year: int) -> Path:
    source = Path(SPEC.origin).parent / f"_vendored/nemo_skills/dataset/aime{year}/test.txt"
    path = root / f"aime{year}.jsonl"
    path.write_text(source.read_text())
    ctx = context(root / f"run{year}", {path.name: path})
    run(ctx, Config(kind="file", path=path.name, fields=FIELDS, instruction=r"Put the final answer in \boxed{}."))
    return ctx.out


@pytest.mark.parametrize("year", [24, 25, 26])
def test_every_answer_is_read_and_judged(tmp_path, year):
    problems = [Problem.from_row(row) for row in read_table(build(tmp_path, year) / "problems.parquet")]
    assert len(problems) == 30
    verifier = get_verifier("math")
    for problem in problems:
        assert verifier.verify(problem, rf"Hence $\boxed{{{int(problem.answer)}}}$.").correct
        assert verifier.verify(problem, rf"Hence $\boxed{{{int(problem.answer):03}}}$.").correct
        assert not verifier.verify(problem, f"The answer is {int(problem.answer) + 1}.").correct


def test_two_years_share_no_problem_and_a_year_shares_all_with_itself(tmp_path):
    first, second = build(tmp_path, 24), build(tmp_path, 25)
    ctx = context(tmp_path / "clean", {"train": first, "aime25": second})
    decontaminate.run(ctx, decontaminate.Config(kind="decontaminate", problems="train", against=["aime25"]))
    assert len(read_table(ctx.out / "problems.parquet")) == 30
    problems = [Problem.from_row(row) for row in read_table(first / "problems.parquet")]
    benchmark = decontaminate.Benchmark("aime24", problems)
    words = decontaminate.words_of([problem.question for problem in problems])
    assert {benchmark.overlap(own)["overlap"] for own in words} == {"exact"}
