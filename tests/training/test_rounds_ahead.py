"""One step off-policy: what samples a round, what the loss makes of it, how a run resumes."""

import copy
import os
import signal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from astro_factory.stages import grpo
from astro_factory.stages.grpo import Config, run
from astro_factory.training.dynamic_sampling import Asked, SampledRound
from astro_factory.training.failures import Interrupted
from astro_factory.training.grpo import Trainer, make_trainer
from astro_factory.training.grpo_arguments import make_arguments
from astro_factory.training.rounds_ahead import Ahead, RoundsAhead, StoredSample, read_round, write_round
from astro_factory.training.trainers import train
from astro_factory.training.weights import load_model, load_tokenizer
from tests.training.test_grpo import gradients
from tests.training.tiny import Recorded, contents, context, grpo_fields, make_model, make_problems


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    return {"base": make_model(root / "base"), "problems": make_problems(root, 6)}


def config(**changes) -> Config:
    return Config(**grpo_fields() | {"off_policy_steps": 1} | changes)


def curve(events: Recorded, name: str) -> list[float]:
    return [values[name] for _, values in events.metrics if name in values]


class Weights:
    """Stands in for a model: a number that training raises, and that samples remember."""

    def __init__(self) -> None:
        self.version = 0

    def sample(self, step: int) -> SampledRound:
        return SampledRound([Asked(step, [self.version])], [[]], [])


@pytest.mark.parametrize("overlaps", [False, True])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_round_is_sampled_from_the_weights_of_the_round_before(overlaps, steps):
    weights, ahead = Weights(), RoundsAhead(overlaps)
    found = []
    for step in range(0, 4 * steps, steps):
        ahead.wait()
        following = step + steps
        found.append(ahead.take(step, following if following < 4 * steps else None, weights.sample))
        ahead.wait()  # training changes the weights of this test, while a server keeps those that it was sent
        weights.version += steps
    assert [one.step for one in found] == [0, steps, 2 * steps, 3 * steps]
    assert [one.weights for one in found] == [0, 0, steps, 2 * steps]
    assert [one.groups.asked for one in found] == [[Asked(one.step, [one.weights])] for one in found]


def test_what_sampling_raises_in_its_thread_is_raised_before_weights_change():
    ahead = RoundsAhead(overlaps=True)

    def sample(step: int) -> SampledRound:
        if step:
            raise OSError("the server is gone")
        return SampledRound([], [], [])

    ahead.take(0, 1, sample)
    with pytest.raises(OSError, match="the server is gone"):
        ahead.wait()


samples = st.builds(
    StoredSample,
    st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4),
    st.lists(st.floats(-1e4, 0, width=32), min_size=1, max_size=4),
)
groups = st.lists(samples, min_size=1, max_size=3)
seeds = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3)


@given(st.lists(st.tuples(st.integers(0, 9), seeds, groups), min_size=1, max_size=3), st.lists(groups, max_size=2))
def test_a_stored_round_is_read_as_it_was(tmp_path_factory, kept, replaced):
    file = tmp_path_factory.mktemp("round") / "round.parquet"
    found = SampledRound([Asked(problem, many) for problem, many, _ in kept], [g for _, _, g in kept], replaced)
    write_round(file, Ahead(6, 4, found))
    assert read_round(file) == Ahead(6, 4, found)


def trainer_of(inputs, folder, **changes) -> Trainer:
    settings = config(learning_rate=1e-2, temperature=0.8, **changes)
    task = grpo.make_task(context(folder, inputs), settings)
    base = inputs["base"]
    return make_trainer(
        settings, task, make_arguments(settings, folder), load_model(settings, base), load_tokenizer(base)
    )


@torch.no_grad()
def log_probs(trainer, model, batch) -> torch.Tensor:
    """Of the responses of a round under a model, 0 at padding."""
    ids, mask = (torch.cat([batch[f"{part}_{key}"] for part in ("prompt", "completion")], 1) for key in ("ids", "mask"))
    return trainer._get_per_token_logps_and_entropies(model, ids, mask, batch["completion_ids"].shape[1])[0]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [False, True])
def test_the_mismatch_of_a_round_is_that_of_one_update(inputs, tmp_path, fault):
    """The curve shows the difference between the weights before and after the last update, and nothing else.

    The fault: the sampler has missed an update, so its weights are two updates old, which no bookkeeping shows.
    """
    trainer = trainer_of(inputs, tmp_path)
    score, sample = trainer._generate_and_score_completions, trainer.rounds.sample
    spare, before = load_model(trainer.settings, inputs["base"]), {}
    expected: dict[str, list[float]] = {"one update": [], "two updates": []}

    def sampled(step, rows):
        before[step] = copy.deepcopy(trainer.model.state_dict())
        if not fault:
            return sample(step, rows)
        trainer.model.load_state_dict(before[max(0, step - 1)])
        found = sample(step, rows)
        trainer.model.load_state_dict(before[step])
        return found

    def scored(inputs):
        batch, step = score(inputs), trainer.state.global_step
        current = log_probs(trainer, trainer.model, batch)
        for name, weights in zip(expected, (before[step], before[max(0, step - 1)]), strict=True):
            spare.load_state_dict(weights)
            difference = (log_probs(trainer, spare, batch) - current).abs().sum() / batch["completion_mask"].sum()
            expected[name].append(difference.item())
        return batch

    trainer.rounds.sample, trainer._generate_and_score_completions = sampled, scored
    train(trainer, trainer.settings, tmp_path, events := Recorded())
    shown = curve(events, "sampling/mismatch")
    assert curve(events, "sampling/age") == [0, 1, 1, 1]
    assert shown == pytest.approx(expected["two updates" if fault else "one update"], rel=1e-2, abs=1e-5)
    assert expected["two updates"][-1] > 1.3 * expected["one update"][-1] > 1e-3


def test_tokens_count_by_the_truncated_ratio_of_the_two_policies(inputs, tmp_path):
    trainer = trainer_of(inputs, tmp_path, rollouts={"kind": "engine", "correction": {"max_ratio": 1.01}})
    trainer.model.train()
    size, prompts = trainer.settings.group_size, trainer.settings.prompts_per_step
    rows = [row for row in trainer.train_dataset for _ in range(size)]
    trainer._rows = rows[: prompts * size]
    trainer._generate_and_score_completions(trainer._rows)
    older = load_model(trainer.settings, inputs["base"])
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in trainer.model.parameters():
            weight += 0.1 * weight.std() * torch.randn_like(weight)
    trainer.state.global_step = 1
    trainer._rows = rows[prompts * size : 2 * prompts * size]
    batch = trainer._generate_and_score_completions(trainer._rows)
    inside = batch["completion_mask"].bool()
    ratio = (log_probs(trainer, trainer.model, batch) - log_probs(trainer, older, batch)).exp()[inside]
    torch.testing.assert_close(batch["importance_sampling_ratio"][inside], ratio.clamp(max=1.01), rtol=1e-3, atol=1e-4)
    assert (ratio > 1.01).any() and (ratio < 0.99).any()

    batch["advantages"] = torch.linspace(-1, 1, len(rows[: prompts * size]))
    plain = batch | {"importance_sampling_ratio": torch.ones_like(batch["importance_sampling_ratio"])}
    pairs = zip(gradients(trainer, [batch]), gradients(trainer, [plain]), strict=True)
    assert max((one - other).abs().max() for one, other in pairs) > 1e-4, "the loss uses the ratio"


def test_a_loss_without_the_correction_is_refused(inputs, tmp_path):
    trainer = trainer_of(inputs, tmp_path)
    trainer.vllm_importance_sampling_correction = False
    with pytest.raises(RuntimeError, match="the loss has no weights for them"):
        train(trainer, trainer.settings, tmp_path, Recorded())


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"max_replacements": 1, "num_iterations": 2}])
def test_a_resumed_run_gives_the_bytes_of_one_that_never_stopped(inputs, tmp_path, changes):
    def interrupt(step):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    run(whole := context(tmp_path / "whole", inputs), config(**changes))
    with pytest.raises(Interrupted, match="stopped after step 4"):
        run(context(tmp_path / "parts", inputs, Recorded(interrupt)), config(**changes))
    run(rest := context(tmp_path / "parts", inputs), config(**changes))
    assert rest.events.steps[0] == 5
    assert contents(rest.out) == contents(whole.out)


@pytest.mark.nightly
def test_two_processes_sample_the_rounds_of_one(inputs, tmp_path):
    made = {}
    for processes in (1, 2):
        made[processes] = context(tmp_path / str(processes), inputs)
        run(made[processes], config(launch={"processes": processes}))
    one, two = (curve(made[processes].events, "length") for processes in (1, 2))
    assert one == two
    losses = [curve(made[processes].events, "sampling/mismatch") for processes in (1, 2)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05, abs=1e-5)


@pytest.mark.parametrize(
    ("rollouts", "cause"),
    [
        ({"kind": "vllm"}, "a colocated engine shares the GPUs"),
        ({"kind": "vllm", "mode": "server", "server_url": "http://h:1", "correction": None}, "needs rollouts.correct"),
    ],
)
def test_rollouts_that_cannot_be_ahead(rollouts, cause):
    with pytest.raises(ValidationError, match=cause):
        config(rollouts=rollouts)
