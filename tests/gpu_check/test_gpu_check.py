"""The checks of a GPU machine, on the CPU with tiny models: the code is the same."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from astro_factory.core.errors import UserError
from astro_factory.gpu_check import runner
from astro_factory.gpu_check.rig import Failed, Rig, Skip

ROOT = Path(__file__).parents[2]
NEED_GPU = {"sdpa", "memory", "fsdp"}
NEED_PACKAGES = {"zero3", "vllm", "grpo-vllm"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_dry_run_passes_and_ends_with_json():
    command = [sys.executable, "-m", "astro_factory", "gpu-check", "--dry-run"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    *lines, last = run.stdout.strip().splitlines()
    found = json.loads(last)
    assert run.returncode == 0 and found["ok"] and found["dry_run"], run.stdout + run.stderr[-3000:]
    statuses = {check["name"]: check["status"] for check in found["checks"]}
    assert list(statuses) == list(runner.CHECKS) == [line.split()[1] for line in lines]
    assert {name for name, status in statuses.items() if status == "SKIP"} - NEED_PACKAGES == NEED_GPU
    figures = {check["name"]: check["figures"] for check in found["checks"]}
    assert figures["loss"]["fp32_loss_difference"] < 1e-5
    assert figures["memory"]["predicted_gb"] > 0
    assert figures["speed"]["tokens_per_second"] > 0 and figures["save"]["save_s"] > 0


def test_a_fault_of_the_loss_is_found(tmp_path, monkeypatch):
    from astro_factory.training import sft

    sound = sft.losses_from_logits

    def wrong(*inputs):
        found = sound(*inputs)
        return found._replace(sum=1.02 * found.sum)

    monkeypatch.setattr(sft, "losses_from_logits", wrong)
    with pytest.raises(Failed, match="fp32_loss is "):
        runner.CHECKS["loss"](Rig(tmp_path, dry_run=True))


@pytest.fixture
def checks(monkeypatch):
    """Replaces the checks, and restores the environment that a run changes."""
    for name in ("CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "DS_ACCELERATOR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    found: dict = {}
    monkeypatch.setattr(runner, "CHECKS", found)
    return found


def outcomes(only=(), limit_s=60.0) -> tuple[bool, dict[str, dict]]:
    lines: list[str] = []
    ok = runner.run_checks(True, only, limit_s, lines.append)
    return ok, {check["name"]: check for check in json.loads(lines[-1])["checks"]}


def test_every_end_of_a_check_has_its_status(checks):
    def measures(rig):
        rig.figures["seconds"] = 1.0
        return "fine"

    def raises(error):
        def check(rig):
            raise error

        return check

    checks |= {"fine": measures, "skipped": raises(Skip("no GPU")), "failed": raises(Failed("it is wrong"))}
    checks |= {"broken": raises(ValueError("a\nb")), "user": raises(UserError.of("E180", "no driver", "install it"))}
    ok, found = outcomes()
    assert not ok
    assert {name: (check["status"], check["note"]) for name, check in found.items()} == {
        "fine": ("PASS", "fine"),
        "skipped": ("SKIP", "no GPU"),
        "failed": ("FAIL", "it is wrong"),
        "broken": ("FAIL", "ValueError: a"),
        "user": ("FAIL", "E180 no driver; install it"),
    }
    assert found["fine"]["figures"] == {"seconds": 1.0} and not found["failed"]["figures"]
    ok, found = outcomes(["skipped", "fine"])
    assert ok and list(found) == ["skipped", "fine"]


def test_a_check_that_takes_too_long_fails_and_the_rest_is_skipped(checks):
    checks |= {"long": lambda rig: time.sleep(30), "next": lambda rig: "never"}
    start = time.monotonic()
    ok, found = outcomes(limit_s=1.5)
    assert not ok and time.monotonic() - start < 15
    assert (found["long"]["status"], found["next"]["status"]) == ("FAIL", "SKIP")


def test_a_check_of_another_name_is_refused(golden):
    with pytest.raises(UserError) as caught:
        runner.run_checks(True, ["spead"], 1)
    golden(str(caught.value))
