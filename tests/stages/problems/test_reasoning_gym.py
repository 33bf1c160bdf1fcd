import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table
from astro_factory.stages.problems.reasoning_gym import Config, make_problems, run
from astro_factory.verifiers import get_verifier, gym
from tests.training.tiny import context

pytest.importorskip("reasoning_gym")


def config(**settings) -> Config:
    return Config(**{"kind": "reasoning_gym", "task": "chain_sum", "count": 3} | settings)


def test_makes_problems_that_its_verifier_decides(tmp_path):
    ctx = context(tmp_path, {})
    run(ctx, config(options={"min_terms": 2, "max_terms": 2}))
    problems = [Problem.from_row(row) for row in read_table(ctx.out / "problems.parquet")]
    assert [p.id for p in problems] == ["chain_sum-0-0", "chain_sum-0-1", "chain_sum-0-2"]
    assert problems[0].question.endswith("\n\nPut the final answer between <answer> and </answer>.")
    assert get_verifier("reasoning_gym").verify(problems[0], f"<answer>{problems[0].answer}</answer>").correct
    assert problems == list(make_problems(config(options={"min_terms": 2, "max_terms": 2})))


def test_seeds_make_other_problems_and_more_problems_keep_the_first():
    first = [p.question for p in make_problems(config())]
    assert first != [p.question for p in make_problems(config(seed=1))]
    assert first == [p.question for p in make_problems(config(count=5))][:3]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"task": "chain_sun"}, "E429 reasoning-gym has no task 'chain_sun'; did you mean 'chain_sum'?"),
        ({"options": {"terms": 2}}, "E430 task 'chain_sum' refuses its options: "),
        ({"options": {"min_terms": 9}}, "E430 task 'chain_sum' refuses its options: "),
    ],
)
def test_mistakes_are_named(settings, error):
    with pytest.raises(UserError) as caught:
        list(make_problems(config(**settings)))
    assert str(caught.value).startswith(error)


def test_a_problem_that_cannot_be_verified_stops_the_stage(tmp_path, monkeypatch):
    monkeypatch.setattr(
        gym.ReasoningGymVerifier, "check_problem", lambda self, problem: "its own answer scores 0, not 1"
    )
    with pytest.raises(
        UserError, match=r"E431 problem chain_sum-0-0 cannot be verified: its own answer scores 0, not 1"
    ):
        run(context(tmp_path, {}), config())
