"""Dynamic sampling with an engine that answers as the test says, and in the trainer with a real model."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.stages.grpo import Config, estimate
from astro_factory.training.dynamic_sampling import Asked, sample_round
from astro_factory.training.grpo import make_arguments, make_trainer
from astro_factory.training.rollout_schedule import replacement
from astro_factory.training.rounds_ahead import StoredSample
from astro_factory.training.weights import load_model, load_tokenizer
from tests.training.test_grpo import PROBLEMS, settings_of, task_of
from tests.training.tiny import make_model


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=8), st.integers(0, 4))
def test_flat_groups_are_replaced_within_the_budget_and_others_stay(fates, most):
    """`fates` says for each place whether its first, second, … group is flat; the last one repeats."""
    calls: list[int] = []

    def sample(asked):
        calls.append(len(asked))
        return [(one.problem, one.seeds[0]) for one in asked]

    def fate(group) -> bool:
        place, attempt = group
        return fates[place][min(attempt, len(fates[place]) - 1)]

    found = sample_round(
        [Asked(place, [0]) for place in range(len(fates))],
        sample,
        lambda asked, groups: [fate(group) for group in groups],
        lambda place, attempt: Asked(place, [attempt]),
        most,
    )
    assert [(one.problem, one.seeds[0]) for one in found.asked] == found.groups, "a group answers what was asked"
    assert [place for place, _ in found.groups] == list(range(len(fates)))
    for place, (_, attempt) in enumerate(found.groups):
        earlier = [fate((place, number)) for number in range(attempt)]
        assert all(earlier) and attempt <= most
        assert attempt == most or not fate((place, attempt)), "a flat group is kept only when the budget is used up"
    assert sum(calls) == len(found.groups) + len(found.replaced) <= len(fates) * (1 + most)
    assert all(map(fate, found.replaced)) and len(calls) <= 1 + most


def test_replacements_come_from_all_problems_and_have_their_own_seeds():
    made = [
        replacement(0, step, "p", copy, attempt, range(5), 2)
        for step in range(20)
        for copy in (0, 1)
        for attempt in (1, 2)
    ]
    assert set(Counter(problem for problem, _ in made)) == set(range(5))
    assert len({seed for _, seeds in made for seed in seeds}) == 2 * len(made)
    assert replacement(0, 3, "p", 0, 1, range(5), 2) == replacement(0, 3, "p", 0, 1, range(5), 2)


def test_a_round_in_the_trainer_replaces_flat_groups_and_counts_their_tokens(tmp_path):
    """Only responses to the last problem differ in reward, so every other group is replaced until one of it comes."""
    base = make_model(tmp_path / "base")
    judged: Counter = Counter()

    def judge(problem, response) -> Verdict:
        judged[problem.id] += 1
        mixed = problem is PROBLEMS[-1] and judged[problem.id] % 2
        return Verdict(Outcome.CORRECT if mixed else Outcome.INCORRECT)

    settings = settings_of(max_replacements=40, max_new_tokens=4)
    spent = []
    task = task_of(settings)
    task = type(task)(PROBLEMS, judge, task.make_generate, spent=lambda *amounts: spent.append(amounts))
    trainer = make_trainer(
        settings, task, make_arguments(settings, tmp_path), load_model(settings, base), load_tokenizer(base)
    )
    trainer.model.train()
    trainer._rows = [row for row in trainer.train_dataset.select(range(4)) for _ in range(4)]
    batch = trainer._generate_and_score_completions(trainer._rows)
    kept = [row["problem"] for row in trainer._rows[::4]]
    assert kept == [len(PROBLEMS) - 1] * 4 and (batch["advantages"] != 0).all()
    ((tokens, responses),) = spent
    assert responses == 4 * (4 + len(trainer._replaced)) and len(trainer._replaced) >= 3
    assert tokens > batch["completion_mask"].sum()


def test_a_group_is_flat_if_its_judged_responses_earn_the_same(tmp_path):
    """A response that cannot be judged has no advantage, so it gives a group no signal."""
    base = make_model(tmp_path / "base")
    fates = [Outcome.CORRECT, Outcome.ERROR, Outcome.CORRECT, Outcome.UNPARSEABLE_GOLD] + 4 * [Outcome.ERROR]
    fates += [Outcome.CORRECT, Outcome.ERROR, Outcome.INCORRECT, Outcome.ERROR]
    outcomes = iter(fates)
    settings = settings_of(max_replacements=1, max_new_tokens=4)
    task = replace(task_of(settings), judge=lambda problem, response: Verdict(next(outcomes)))
    model, tokenizer = load_model(settings, base), load_tokenizer(base)
    trainer = make_trainer(settings, task, make_arguments(settings, tmp_path), model, tokenizer)
    asked = [Asked(number, []) for number in range(3)]
    groups = [[StoredSample([5, 2], [0.0, 0.0])] * settings.group_size for _ in asked]
    assert trainer.are_flat(asked, groups) == [True, True, False]


def test_the_budget_is_in_the_estimate_and_vllm_is_refused():
    fields = {"kind": "grpo", "model": "m", "problems": "p", "steps": 2, "prompts_per_step": 3, "group_size": 4}
    fields |= {"learning_rate": 1.0, "max_new_tokens": 10}
    assert estimate(Config(**fields, max_replacements=2), {}).calls == 3 * estimate(Config(**fields), {}).calls
    with pytest.raises(ValidationError, match="max_replacements needs rollouts of kind engine"):
        Config(**fields, max_replacements=1, rollouts={"kind": "vllm"})
