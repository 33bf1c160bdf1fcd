"""Training that is stopped in the middle of a step gives, once resumed, the bytes of a run that never stopped."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astro_factory.core.problems import Problem
from astro_factory.stages import grpo
from tests.training.test_launch import ROOT, end_with_children, grpo_config
from tests.training.tiny import contents, context, make_model

JUDGED_A_STEP = 8
"""Responses of a step that each of two processes judges."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    problems = [Problem(f"p{i}", f"{i} , {i}", "Yes", "python:tests.training.judges:Waits") for i in range(6)]
    (root / "problems").mkdir()
    pq.write_table(pa.Table.from_pylist([p.as_row() for p in problems]), root / "problems" / "problems.parquet")
    return {"base": make_model(root / "base"), "problems": root / "problems"}


def sharded(stage: int | None) -> dict:
    return {"processes": 2, "deepspeed": stage and {"zero_stage": stage}}


def started(inputs, folder: Path, seconds: float, changes: dict) -> subprocess.Popen:
    """A process that trains and waits in the third step."""
    script = f"""
        import signal, sys
        from pathlib import Path
        from astro_factory.stages import grpo
        from tests.training.test_launch import grpo_config
        from tests.training.tiny import context
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to stop"))  # as in a stage's process
        inputs = {{name: Path(path) for name, path in { {k: str(v) for k, v in inputs.items()}!r}.items()}}
        grpo.run(context(Path({str(folder)!r}), inputs), grpo_config(**{changes!r}))
    """
    waits = {"JUDGE_WAITS": str(folder / "waits"), "JUDGE_WAITS_S": str(seconds)}
    waits["JUDGE_WAITS_AFTER"] = str(2 * JUDGED_A_STEP + 3)
    folder.mkdir()
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, env=os.environ | waits, stderr=subprocess.DEVNULL
    )


NEVER = {"JUDGE_WAITS_AFTER": "1000000", "JUDGE_WAITS": "unused", "JUDGE_WAITS_S": "0"}
NIGHTLY = (pytest.mark.nightly, pytest.mark.skipif(not find_spec("deepspeed"), reason="DeepSpeed is not installed"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end children")
@pytest.mark.parametrize(
    ("number", "stage", "waits_s", "changes", "resumes_at"),
    [
        # asked to stop, it finishes the step and saves
        (signal.SIGTERM, None, 2, {}, 4),
        pytest.param(signal.SIGTERM, None, 35, {}, 4, marks=pytest.mark.nightly, id="longer than torchrun would wait"),
        pytest.param(signal.SIGTERM, 2, 2, {}, 4, marks=NIGHTLY),
        pytest.param(signal.SIGTERM, 3, 2, {}, 4, marks=NIGHTLY),
        # killed, it resumes from the checkpoint of the step before, which was due by its time
        pytest.param(signal.SIGKILL, None, 60, {"save_every_minutes": 1e-6}, 3, marks=pytest.mark.nightly),
        pytest.param(signal.SIGKILL, 2, 60, {"save_every_minutes": 1e-6}, 3, marks=NIGHTLY),
        pytest.param(signal.SIGKILL, 3, 60, {"save_every_minutes": 1e-6}, 3, marks=NIGHTLY),
        # so does a stage whose step takes longer than its grace
        pytest.param(
            signal.SIGTERM, None, 60, {"save_every_minutes": 1e-6, "grace_s": 1}, 3, marks=pytest.mark.nightly
        ),
    ],
)
def test_what_follows_equals_never_stopping(inputs, tmp_path, monkeypatch, number, stage, waits_s, changes, resumes_at):
    for name, value in NEVER.items():
        monkeypatch.setenv(name, value)
    settings = {"steps": 4, "weight_decay": 0.1, "launch": sharded(stage)}
    whole = context(tmp_path / "whole", inputs)
    grpo.run(whole, grpo_config(**settings))
    parent = started(inputs, tmp_path / "parts", waits_s, settings | changes)
    deadline = time.monotonic() + 200
    while not (tmp_path / "parts" / "waits").exists():
        assert time.monotonic() < deadline and parent.poll() is None
        time.sleep(0.05)
    end_with_children(parent, number, 100, deadline)
    rest = context(tmp_path / "parts", inputs)
    grpo.run(rest, grpo_config(**settings))
    assert rest.events.steps == list(range(resumes_at, 5))
    assert contents(rest.out) == contents(whole.out)
