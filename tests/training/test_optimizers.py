from copy import deepcopy

import pytest
import torch
from transformers import AutoModelForCausalLM

from astro_factory.training import optimizers
from astro_factory.training.optimizers import learning_rate_share, make_optimizer
from astro_factory.training.settings import SFTSettings
from tests.training.tiny import make_model


def settings_of(**changes) -> SFTSettings:
    return SFTSettings(**{"model": "m", "data": "d", "learning_rate": 1e-2, "weight_decay": 0.1} | changes)


@pytest.fixture
def network(tmp_path):
    return AutoModelForCausalLM.from_pretrained(make_model(tmp_path))


def steps(network, optimizer, count: int, seed: int) -> None:
    torch.manual_seed(seed)
    for _ in range(count):
        for weight in network.parameters():
            weight.grad = torch.randn_like(weight)
        optimizer.step()


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_every_weight_is_in_one_group_and_vectors_do_not_decay(network, kind):
    groups = make_optimizer(network, settings_of(optimizer=kind)).param_groups
    members = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(members) == sorted(id(weight) for weight in network.parameters())
    for group in groups:
        for weight in group["params"]:
            assert group["weight_decay"] == (0.1 if weight.ndim == 2 else 0)


def test_muon_moves_matrices_as_far_as_adamw_would(network):
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    optimizer = make_optimizer(network, settings_of(optimizer="muon", weight_decay=0.0))
    steps(network, optimizer, 1, seed=0)
    moved = {n: (w - before[n]).square().mean().sqrt().item() for n, w in network.named_parameters()}
    inner = [value for name, value in moved.items() if "proj" in name]
    assert all(0.1e-2 < value < 0.4e-2 for value in inner), "0.2 of the learning rate, as AdamW's typical update"
    assert moved["model.embed_tokens.weight"] == pytest.approx(1e-2, rel=1e-3)


@pytest.mark.parametrize("multiplies", [False, True])
def test_muon_orthogonalizes_in_single_precision_where_bf16_is_slow(network, monkeypatch, multiplies):
    monkeypatch.setattr(optimizers, "cpu_multiplies_bf16", lambda: multiplies)
    double = deepcopy(network).double()
    before = [weight.detach().clone() for weight in network.parameters()]
    moved = []
    for model in (network, double):
        settings = settings_of(optimizer="muon", weight_decay=0.0)
        optimizer = make_optimizer(model, settings)
        for weight, seed in zip(model.parameters(), range(100), strict=False):
            torch.manual_seed(seed)
            weight.grad = torch.randn(weight.shape, dtype=torch.float64).to(weight)
        gradients = [weight.grad.clone() for weight in model.parameters()]
        if model is double:
            monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
        optimizer.step()
        assert all(torch.equal(w.grad, g) for w, g in zip(model.parameters(), gradients, strict=True))
        moved.append([w.detach().double() - b.double() for w, b in zip(model.parameters(), before, strict=True)])
    distance = max(float((a - b).norm() / b.norm()) for a, b in zip(*moved, strict=True))
    assert distance < 1e-4 if not multiplies else 1e-3 < distance < 0.1


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_saved_state_resumes_with_the_same_bits(network, kind):
    optimizer = make_optimizer(network, settings_of(optimizer=kind))
    steps(network, optimizer, 2, seed=0)
    saved = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    state = deepcopy(optimizer.state_dict())
    steps(network, optimizer, 2, seed=1)
    expected = [weight.detach().clone() for weight in network.parameters()]

    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.copy_(saved[name])
    resumed = make_optimizer(network, settings_of(optimizer=kind))
    resumed.load_state_dict(state)
    steps(network, resumed, 2, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(expected, network.parameters(), strict=True))


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("cosine", {0: 0.5, 1: 1.0, 2: 1.0, 6: 0.55, 10: 0.1}),
        ("linear", {0: 0.5, 1: 1.0, 2: 1.0, 6: 0.55, 10: 0.1}),
        ("constant", {0: 0.5, 1: 1.0, 6: 1.0, 10: 1.0}),
    ],
)
def test_the_learning_rate_warms_up_and_falls(schedule, shares):
    settings = settings_of(schedule=schedule, warmup_steps=2, min_learning_rate_ratio=0.1)
    assert {step: learning_rate_share(step, 10, settings) for step in shares} == pytest.approx(shares)
