import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from astro_factory.training.grpo import make_arguments, make_trainer
from astro_factory.training.rollout_mismatch import mismatch
from astro_factory.training.rollout_settings import RolloutCorrection, VLLMRollouts
from astro_factory.training.trainers import train
from astro_factory.training.weights import load_model, load_tokenizer
from tests.training.test_grpo import base, settings_of, task_of  # noqa: F401
from tests.training.tiny import Recorded

MASK = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
SAMPLED = torch.tensor([[-1.0, -2.0, 9.0, 9.0], [-1.0, math.nan, -1.0, -2.0]])
TRAINED = SAMPLED.nan_to_num(nan=-7.0) + torch.tensor([[0.0, math.log(4), 5.0, 5.0], [math.log(0.25), 1.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("correction", "weights", "corrected", "by_length"),
    [
        ({}, [1, 2, 0.25, 1, 1, 1], 1 / 6, {2: 1 / 2, 4: 0.0}),
        ({"min_ratio": 0.5}, [1, 2, 0.5, 1, 1, 1], 2 / 6, {2: 1 / 2, 4: 1 / 4}),
        ({"mode": "token_mask"}, [1, 0, 0.25, 1, 1, 1], 1 / 6, {2: 1 / 2, 4: 0.0}),
        ({"mode": "sequence_truncate"}, [2, 0.25], 2 / 6, {2: 1.0, 4: 0.0}),
        ({"mode": "sequence_mask", "min_ratio": 0.5}, [0, 0], 1.0, {2: 1.0, 4: 1.0}),
    ],
)
def test_weights_outside_the_bounds_are_counted(correction, weights, corrected, by_length):
    found = mismatch(TRAINED, SAMPLED, MASK, RolloutCorrection(**correction), max_tokens=4)
    used = torch.tensor(weights, dtype=torch.float)
    effective = (used.sum() ** 2 / (len(used) * (used**2).sum())).nan_to_num(0.0).item()
    expected = {"mismatch": 2 * math.log(4) / 6, "effective": effective, "corrected": corrected}
    expected |= {f"corrected/{length}": share for length, share in by_length.items()}
    assert found == pytest.approx({f"sampling/{name}": value for name, value in expected.items()})


@pytest.mark.parametrize(
    ("correction", "effective", "longest"),
    [
        # 0.02 of noise per token: the longer a response, the more often its product leaves the bounds
        (RolloutCorrection(mode="sequence_mask", max_ratio=3.0), (0.3, 0.6), (0.15, 0.4)),
        (RolloutCorrection(), (0.99, 1.0), (0.0, 0.001)),
    ],
)
def test_long_responses_drop_out_of_the_loss_by_sequence_but_not_by_token(correction, effective, longest):
    torch.manual_seed(0)
    mask = (torch.arange(6000) < torch.linspace(1, 6000, 400)[:, None]).int()
    found = mismatch(0.02 * torch.randn(mask.shape), torch.zeros(mask.shape), mask, correction, max_tokens=6000)
    assert effective[0] < found["sampling/effective"] <= effective[1]
    assert longest[0] <= found["sampling/corrected/6000"] <= longest[1]
    assert found["sampling/corrected/1500"] <= found["sampling/corrected/6000"]


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "alarms"), [(0.0, 0), (0.3, 1)])
def test_noise_in_the_engines_probabilities_raises_an_alarm_in_the_first_step(base, tmp_path, noise, alarms):  # noqa: F811
    """An engine that reports log-probabilities stands in for vLLM; trainer and loss are the real ones."""
    correction, warnings, events = RolloutCorrection(), [], Recorded()
    settings = settings_of(temperature=1.0, alarm={"no_answer": 1})
    task = replace(task_of(settings), warn=warnings.append)
    arguments = make_arguments(settings, tmp_path)
    trainer = make_trainer(settings, task, arguments, load_model(settings, base), load_tokenizer(base))
    trainer.settings = settings.model_copy(update={"rollouts": VLLMRollouts(kind="vllm", correction=correction)})
    trainer.use_vllm, trainer.vllm_generation = True, SimpleNamespace(sync_weights=lambda: None)
    trainer._last_loaded_step = -1
    trainer.vllm_importance_sampling_mode = correction.mode
    trainer.vllm_importance_sampling_clip_max = correction.max_ratio
    torch.manual_seed(0)

    def noisy(prompts, trainer):
        prompt_ids, responses = trainer.sample()
        exact = [log_probs(trainer, *pair) for pair in zip(prompt_ids, responses, strict=True)]
        sampled = [(row + noise * torch.randn(row.shape)).tolist() for row in exact]
        return {"prompt_ids": prompt_ids, "completion_ids": responses, "logprobs": sampled}

    trainer.rollout_func = noisy
    train(trainer, trainer.settings, tmp_path, events)
    (step, point), *_ = [(step, values) for step, values in events.metrics if "loss" in values]
    assert step == 1 and point["alarms"] == alarms, warnings
    assert point["sampling/mismatch"] == pytest.approx(noise * math.sqrt(2 / math.pi), rel=0.2, abs=1e-4)
    assert point["sampling/effective"] == pytest.approx(1, abs=0.15 if noise else 1e-4)
    assert {"sampling/corrected", "sampling/corrected/40"} <= point.keys()
    assert any("log-probabilities of the engine" in line for line in warnings) == bool(alarms)


@torch.no_grad()
def log_probs(trainer, prompt: list[int], response: list[int]) -> torch.Tensor:
    """What an engine without mismatch reports."""
    ids = torch.tensor([[*prompt, *response]])
    logits = trainer.model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
    return logits.log_softmax(-1).gather(-1, torch.tensor(response)[:, None])[:, 0]
