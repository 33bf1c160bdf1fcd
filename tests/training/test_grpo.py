from dataclasses import replace
from threading import Barrier

import pytest
import torch
from pydantic import ValidationError
from trl import GRPOTrainer

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome
from astro_factory.engines.base import Request
from astro_factory.engines.sampler import Sampler
from astro_factory.training.grpo import make_arguments, make_trainer
from astro_factory.training.grpo_task import Task
from astro_factory.training.rewards import reward_of
from astro_factory.training.settings import GRPOSettings, Reward
from astro_factory.training.weights import load_model, load_tokenizer
from tests.training.judges import Says
from tests.training.tiny import make_model

PROBLEMS = [Problem(f"p{i}", " , ".join(["7"] * (i + 1)), "1", "says") for i in range(4)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("base"))


def task_of(settings: GRPOSettings) -> Task:
    def make_generate(model, tokenizer):
        sampler = Sampler(model, tokenizer)

        def generate(prompts, seeds):
            asked = zip(prompts, seeds, strict=True)
            return sampler.generate([Request(tuple(p), tuple(s), settings.max_new_tokens) for p, s in asked])

        return generate

    return Task(PROBLEMS, Says().verify, make_generate)


def settings_of(**changes) -> GRPOSettings:
    fields = {
        "model": "base",
        "problems": "problems",
        "steps": 2,
        "prompts_per_step": 4,
        "group_size": 4,
        "learning_rate": 1e-3,
        "max_new_tokens": 40,
        "micro_batch_size": 4,
        "temperature": 0.9,
    }
    return GRPOSettings(**fields | changes)


def gradients(trainer, batches) -> list[torch.Tensor]:
    trainer.model.zero_grad()
    trainer.current_gradient_accumulation_steps = len(batches)
    for batch in batches:
        trainer._compute_loss(trainer.model, batch).backward()
    return [weight.grad.clone() for weight in trainer.model.parameters()]


@pytest.mark.parametrize("loss", ["dapo", "grpo", "dr_grpo", "cispo"])
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_sorted_and_packed_micro_batches_have_the_gradient_of_the_padded_round(base, tmp_path, loss, beta, monkeypatch):
    settings = settings_of(loss=loss, beta=beta)
    arguments = make_arguments(settings, tmp_path)
    trainer = make_trainer(settings, task_of(settings), arguments, load_model(settings, base), load_tokenizer(base))
    trainer.model.train()
    rows = list(trainer.train_dataset.select(range(4)))
    trainer._rows = [row for row in rows for _ in range(4)]
    batch = trainer._generate_and_score_completions(trainer._rows)
    assert 0 < (batch["advantages"] == 0).sum() < 16, "the round has groups with and without signal"

    trainer.args.steps_per_generation = 4
    trainer._step, trainer._buffered_inputs = 0, None
    monkeypatch.setattr(trainer, "_generate_and_score_completions", lambda _: dict(batch))
    packed = []
    for trainer._step in range(4):
        packed.append(trainer._prepare_inputs(trainer._rows))
    ours = gradients(trainer, packed)

    monkeypatch.setattr(
        trainer,
        "_get_per_token_logps_and_entropies",
        GRPOTrainer._get_per_token_logps_and_entropies.__get__(trainer),
    )
    trainer.args.steps_per_generation = 1
    theirs = gradients(trainer, [batch])
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-6)


def test_responses_are_judged_at_the_same_time(base, tmp_path):
    """Each judge waits for another one, so one at a time would wait forever."""
    both = Barrier(2, timeout=60)

    def judge(problem, response):
        both.wait()
        return Says().verify(problem, response)

    settings = settings_of()
    task = replace(task_of(settings), judge=judge, judges=2)
    arguments = make_arguments(settings, tmp_path)
    trainer = make_trainer(settings, task, arguments, load_model(settings, base), load_tokenizer(base))
    words = trainer._text_tokenizer
    responses = [words.encode(text, add_special_tokens=False) for text in ("1", "2", "3 1", "4")]
    logged: dict[str, list[float]] = {}
    rewards = trainer.score(responses, [0, 1, 2, 3], lambda name, value: logged.setdefault(name, []).append(value))
    assert rewards == [1, 0, 1, 0], "in the order of the responses"
    assert logged["verdict/correct"] == rewards


@pytest.mark.parametrize(
    ("reward", "outcome", "truncated", "value"),
    [
        ({}, Outcome.CORRECT, False, 1.0),
        ({"correct": 2, "incorrect": -1}, Outcome.INCORRECT, True, -1.0),
        ({"incorrect": -1}, Outcome.NO_ANSWER, False, -1.0),
        ({"no_answer": -2}, Outcome.NO_ANSWER, False, -2.0),
        ({"truncated": -3}, Outcome.NO_ANSWER, True, -3.0),
        ({"incorrect": -1}, Outcome.TIMEOUT, False, -1.0),
        ({"incorrect": -1, "timeout": -2}, Outcome.TIMEOUT, False, -2.0),
        ({}, Outcome.ERROR, False, None),
        ({}, Outcome.UNPARSEABLE_GOLD, False, None),
    ],
)
def test_an_outcome_has_its_reward(reward, outcome, truncated, value):
    assert reward_of(Reward(**reward), outcome, truncated, length=0.5) == value


def test_a_correct_response_pays_for_its_tokens_and_a_wrong_one_does_not():
    reward = Reward(length_cost=0.4)
    assert reward_of(reward, Outcome.CORRECT, False, length=0.25) == 0.9
    assert reward_of(reward, Outcome.CORRECT, False, length=1.0) == 0.6
    assert reward_of(reward, Outcome.INCORRECT, False, length=1.0) == 0.0
    assert Reward(length_cost=1.0).length_cost == 1.0


@pytest.mark.parametrize(
    "reward", [{"length_cost": 1.1}, {"incorrect": 0.8, "length_cost": 0.3}, {"no_answer": 0.9, "length_cost": 0.2}]
)
def test_no_price_makes_a_wrong_response_pay_more_than_a_right_one(reward):
    with pytest.raises(ValidationError, match="more than a correct answer earns above others"):
        Reward(**reward)
