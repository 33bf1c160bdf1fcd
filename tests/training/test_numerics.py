"""Numbers are computed as the settings say, whatever the sharding."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from astro_factory.core.devices import cpu_multiplies_bf16
from astro_factory.training import launch, trainers
from astro_factory.training.launch_settings import Launch
from astro_factory.training.settings import GRPOSettings, SFTSettings

needs_deepspeed = pytest.mark.skipif(not find_spec("deepspeed"), reason="DeepSpeed is not installed")
SFT = {"model": "m", "data": "d", "learning_rate": 1e-6}
GRPO = {"model": "m", "problems": "p", "learning_rate": 1e-6, "steps": 1, "prompts_per_step": 1, "group_size": 2}


@pytest.mark.slow
@pytest.mark.nightly
@needs_deepspeed
def test_sharded_weights_decay_by_their_whole_shape_and_gradients_add_up_in_single_precision():
    from tests.training.zero_numerics import DECAY, INPUTS

    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    sharded = Launch.model_validate({"processes": 2, "deepspeed": {}})
    run = subprocess.run(
        [*command, "-m", "tests.training.zero_numerics"],
        env=launch._environment(sharded, 30),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout.strip().splitlines()[-1])
    for stage in ("2", "3"):
        assert found[stage]["decays"] == {"2": DECAY, "1": 0.0}, stage
        # in bf16, 1 + 1/512 is 1
        assert found[stage]["gradient"] == sum(INPUTS), stage


def test_cispo_lets_ratios_pass_up_to_five(tmp_path):
    settings = GRPOSettings(**GRPO, max_new_tokens=4, loss="cispo")
    assert settings.epsilon_high == 5
    assert GRPOSettings(**GRPO, max_new_tokens=4).epsilon_high is None
    for bound in (0.2, None):
        with pytest.raises(ValueError, match="limits the probability ratio itself"):
            GRPOSettings(**GRPO, max_new_tokens=4, loss="cispo", epsilon_high=bound)


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", False), ("tf32", True), ("bf16", False)])
def test_only_tf32_turns_on_tf32(tmp_path, monkeypatch, precision, tf32):
    settings = SFTSettings(model="m", data="d", learning_rate=1, precision=precision)
    assert trainers.common_arguments(settings, tmp_path)["tf32"] is None, "a CPU has none"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert trainers.common_arguments(settings, tmp_path)["tf32"] is tf32


@pytest.mark.parametrize(
    ("changes", "gpu", "multiplies", "expected"),
    [
        ({}, False, True, True),
        ({}, False, False, False),
        ({}, True, False, True),
        ({"precision": "fp32"}, False, True, False),
        ({"precision": "tf32"}, True, True, False),
        # the weights themselves are in bf16
        ({"adapter": {"kind": "lora"}}, False, False, True),
        ({"launch": {"processes": 2, "deepspeed": {}}}, False, False, True),
    ],
)
def test_a_cpu_that_cannot_multiply_in_bf16_computes_in_it_only_where_weights_are_in_bf16(
    tmp_path, monkeypatch, changes, gpu, multiplies, expected
):
    settings = SFTSettings(**SFT | {"precision": "bf16"} | changes)
    monkeypatch.setattr(trainers, "cpu_multiplies_bf16", lambda: multiplies)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert trainers.common_arguments(settings, tmp_path)["bf16"] is expected


def test_whether_a_cpu_multiplies_in_bf16_is_read_from_its_instructions():
    flags = set(Path("/proc/cpuinfo").read_text().split()) if Path("/proc/cpuinfo").exists() else set()
    if "avx2" not in flags:
        pytest.skip("not an x86 CPU on Linux")
    assert cpu_multiplies_bf16() == bool(flags & {"avx512_bf16", "amx_bf16", "avx512bw"})
