import numpy as np
import pytest
import torch

from astro_factory.engines.sampling import pick, uniforms

# Outputs of the reference SplitMix64 generator for seed 1234567, as printed with it.
REFERENCE = [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_uniforms_are_the_reference_generator():
    found = uniforms(np.full(3, 1234567, np.uint64), np.arange(3))
    assert found.tolist() == [(value >> 11) * 2.0**-53 for value in REFERENCE]


def test_uniforms_fill_the_unit_interval_evenly():
    found = uniforms(np.arange(20000, dtype=np.uint64), np.full(20000, 7))
    assert found.min() >= 0 and found.max() < 1
    counts, _ = np.histogram(found, bins=20, range=(0, 1))
    assert abs(counts - 1000).max() < 160


@pytest.mark.parametrize(("uniform", "token"), [(0.0, 1), (0.19, 1), (0.21, 2), (0.69, 2), (0.71, 3), (1 - 1e-16, 3)])
def test_token_is_the_inverse_of_the_cumulative_distribution(uniform, token):
    probabilities = torch.tensor([[0.0, 0.2, 0.5, 0.3, 0.0]])
    chosen, logprob = pick(probabilities.log(), torch.ones(1), torch.tensor([uniform], dtype=torch.float64))
    assert chosen.item() == token
    assert logprob.exp().item() == pytest.approx(probabilities[0, token].item())


def test_temperature_sharpens_and_zero_is_greedy_while_logprobs_stay_those_of_one():
    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(0)).repeat(3000, 1)
    uniform = torch.from_numpy(uniforms(np.arange(3000, dtype=np.uint64), np.zeros(3000)))
    for temperature in (0.5, 1.0, 2.0):
        chosen, logprobs = pick(logits, torch.full((3000,), temperature), uniform)
        expected = (logits[0] / temperature).softmax(-1)
        frequency = chosen.bincount(minlength=50) / 3000
        assert (frequency - expected).abs().max() < 0.04
        assert torch.equal(logprobs, logits.log_softmax(-1)[torch.arange(3000), chosen])
    greedy, _ = pick(logits, torch.zeros(3000), uniform)
    assert (greedy == logits[0].argmax()).all()


def test_mixed_temperatures_choose_as_each_would_alone():
    logits = torch.randn(6, 50, generator=torch.Generator().manual_seed(1))
    temperatures = torch.tensor([0.0, 1.0, 0.7, 0.0, 1.3, 1.0])
    uniform = torch.rand(6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    together, _ = pick(logits, temperatures, uniform)
    alone = [pick(logits[i : i + 1], temperatures[i : i + 1], uniform[i : i + 1])[0] for i in range(6)]
    assert together.tolist() == torch.cat(alone).tolist()


def test_processed_logprobs_are_those_of_the_sampling_temperature():
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(3))
    temperatures = torch.tensor([0.7, 1.0, 1.3, 0.7])
    scales = torch.tensor([0.7, 1.0, 1.3, 1.0])
    uniform = torch.rand(4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    chosen, found = pick(logits, temperatures, uniform, scales)
    expected = (logits / scales[:, None]).log_softmax(-1)[torch.arange(4), chosen]
    assert torch.allclose(found, expected) and torch.equal(chosen, pick(logits, temperatures, uniform)[0])
