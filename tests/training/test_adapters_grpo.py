"""Adapters in reinforcement learning: who samples, what is measured, how a run resumes."""

import os
import signal
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from astro_factory.core.adapters import ADAPTER_WEIGHTS
from astro_factory.stages import grpo
from astro_factory.stages.grpo import Config, run
from astro_factory.training.failures import Interrupted
from astro_factory.training.grpo import train_grpo
from astro_factory.training.loading import load_causal_model
from tests.training.tiny import Recorded, contents, context, grpo_fields, make_model, make_problems

LORA = {"kind": "lora", "rank": 4, "alpha": 16}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    return {"base": make_model(root / "base"), "problems": make_problems(root, 4)}


def config(**changes) -> Config:
    return Config(**grpo_fields() | {"learning_rate": 3e-2, "adapter": LORA} | changes)


def curve(ctx, name: str) -> list[float]:
    return [values[name] for _, values in ctx.events.metrics if name in values]


def test_responses_come_from_the_policy_and_not_from_its_base(inputs, tmp_path):
    """The same run, with the fault that others had: the sampler reads the base, whose weights never change."""
    run(honest := context(tmp_path / "honest", inputs), config(save="adapter"))
    assert max(curve(honest, "sampling/mismatch")) < 1e-4
    assert not any(curve(honest, "alarms"))

    faulty, settings = context(tmp_path / "faulty", inputs), config(save="adapter")
    task = grpo.make_task(faulty, settings)
    base = load_causal_model(inputs["base"])
    task = replace(task, make_generate=lambda model, tokenizer, make=task.make_generate: make(base, tokenizer))
    train_grpo(settings, task, inputs["base"], faulty.out, faulty.scratch, faulty.events)
    found = curve(faulty, "sampling/mismatch")
    assert found[0] < 1e-4, "a new adapter changes nothing"
    assert max(found) > 0.05 and any(curve(faulty, "alarms"))
    assert any("ALARM" in line and "log-probabilities" in line for line in faulty.events.lines)


@pytest.mark.nightly
@pytest.mark.parametrize("settings", [{"save": "adapter"}, {"beta": 0.05, "num_iterations": 2, "precision": "bf16"}])
def test_a_resumed_run_gives_the_bytes_of_one_that_never_stopped(inputs, tmp_path, settings):
    def interrupt(step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    run(whole := context(tmp_path / "whole", inputs), config(**settings))
    with pytest.raises(Interrupted, match="stopped after step 2"):
        run(context(tmp_path / "parts", inputs, Recorded(interrupt)), config(**settings))
    run(rest := context(tmp_path / "parts", inputs), config(**settings))
    assert rest.events.steps[0] == 3
    assert contents(rest.out) == contents(whole.out)


@pytest.mark.slow
def test_an_adapter_is_its_own_reference_when_it_is_trained_further(inputs, tmp_path):
    run(first := context(tmp_path / "first", inputs), config(save="adapter"))
    further = inputs | {"base": first.out}
    run(ctx := context(tmp_path / "second", further), config(save="adapter", beta=0.1, steps=2, learning_rate=1e-9))
    assert max(curve(ctx, "kl")) < 1e-6, "the first rounds are those of the reference"
    one, other = (load_file(made.out / ADAPTER_WEIGHTS) for made in (first, ctx))
    assert max((one[name] - other[name]).abs().max() for name in one) < 1e-6
