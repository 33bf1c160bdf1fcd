import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch.distributed.launcher.api import LaunchConfig

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.stages import grpo, sft
from astro_factory.training import launch
from astro_factory.training.failures import log_tail
from astro_factory.training.launch_settings import Launch
from tests.training.tiny import contents, context, make_dialogues, make_model, make_trees

TWO = {"processes": 2}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    problems = [Problem(f"p{i}", f"{i} , {i}", "Yes", "python:tests.training.judges:Says") for i in range(6)]
    (root / "problems").mkdir()
    pq.write_table(pa.Table.from_pylist([p.as_row() for p in problems]), root / "problems" / "problems.parquet")
    return {"base": make_model(root / "base"), "data": make_dialogues(root / "data"), "problems": root / "problems"}


def sft_config(**changes) -> sft.Config:
    fields = {"kind": "sft", "model": "base", "data": "data", "learning_rate": 2e-3, "batch_size": 9, "log_every": 2}
    return sft.Config(**fields | {"launch": TWO} | changes)


def grpo_config(**changes) -> grpo.Config:
    fields = {"kind": "grpo", "model": "base", "problems": "problems", "steps": 3, "prompts_per_step": 4}
    fields |= {"group_size": 4, "learning_rate": 3e-3, "max_new_tokens": 12, "launch": TWO}
    return grpo.Config(**fields | changes)


def weights(folder: Path):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


CONFIGS = {sft: sft_config, grpo: grpo_config}


@pytest.fixture(scope="module")
def of_two(inputs, tmp_path_factory):
    """What two processes make of a stage without sharding, trained once."""
    root = tmp_path_factory.mktemp("of_two")

    @cache
    def trained(stage):
        ctx = context(root / stage.__name__, inputs)
        stage.run(ctx, CONFIGS[stage](weight_decay=0.5))
        return ctx

    return trained


@pytest.mark.slow
@pytest.mark.parametrize("stage", CONFIGS)
def test_two_processes_give_equal_bytes_and_nearly_what_one_gives(inputs, of_two, tmp_path, stage):
    runs = {"a": of_two(stage)}
    for name, processes in {"b": 2, "one": 1}.items():
        runs[name] = context(tmp_path / name, inputs)
        stage.run(runs[name], CONFIGS[stage](weight_decay=0.5, launch={"processes": processes}))
    assert contents(runs["a"].out) == contents(runs["b"].out)
    assert runs["a"].events.steps[-1] == runs["one"].events.steps[-1]
    two, one = weights(runs["a"].out), weights(runs["one"].out)
    assert max((two[name] - one[name]).abs().max().item() for name in one) < 2e-4
    losses = [[values["loss"] for _, values in runs[name].events.metrics if "loss" in values] for name in ("a", "one")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


@pytest.mark.nightly
def test_prompts_that_follow_the_policy_are_the_same_in_two_processes_and_after_a_resume(inputs, tmp_path):
    inputs = inputs | {"trees": make_trees(tmp_path / "trees", 5)}
    options = {"max_replacements": 2, "difficulty": {"explore": 0.25}, "start_from": {"trees": "trees", "share": 0.25}}
    options |= {"steps": 4, "save_every": 1}
    names = ("reward", "replaced_groups", "sampled_tokens", "problems_in_band", "problems_skipped", "explored_prompts")

    def measured(ctx) -> list[list[float]]:
        return [[values[name] for name in names] for _, values in ctx.events.metrics if "reward" in values]

    grpo.run(whole := context(tmp_path / "whole", inputs), grpo_config(**options))
    grpo.run(one := context(tmp_path / "one", inputs), grpo_config(**options, launch={"processes": 1}))
    for mine, other in zip(measured(whole), measured(one), strict=True):
        assert mine == pytest.approx(other)
    replaced, in_band = ([point[names.index(name)] for point in measured(whole)] for name in names[1:4:2])
    assert sum(replaced) > 0 and in_band[-1] > 0
    two, alone = weights(whole.out), weights(one.out)
    assert max((two[name] - alone[name]).abs().max().item() for name in alone) < 2e-4
    rest = context(tmp_path / "rest", inputs)
    shutil.copytree(whole.scratch / "checkpoints/checkpoint-3", rest.scratch / "checkpoints/checkpoint-3")
    grpo.run(rest, grpo_config(**options))
    assert rest.events.steps == [4] and contents(rest.out) == contents(whole.out)


def test_torchrun_gives_its_processes_the_grace_of_the_stage(monkeypatch):
    """Its own default is 30 s, which is too short for a checkpoint of 128 GB."""
    monkeypatch.setattr(os, "environ", launch._environment(Launch(processes=2), sft_config().grace_s))
    assert LaunchConfig(1, 1, 2).shutdown_timeout == 600


@pytest.mark.slow
def test_a_user_error_in_a_training_process_is_raised(inputs, tmp_path):
    with pytest.raises(UserError, match="E501"):
        sft.run(context(tmp_path, inputs), sft_config(max_length=5))


@pytest.mark.slow
def test_a_crash_shows_the_last_lines_of_the_log(inputs, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError, match=r"(?s)2 training processes ended with code 1:.*holds neither traces"):
        sft.run(context(tmp_path, inputs | {"data": tmp_path / "empty"}), sft_config())


@pytest.mark.slow
@pytest.mark.timeout(900)  # the first one compiles an extension
@pytest.mark.skipif(not find_spec("deepspeed"), reason="DeepSpeed is not installed")
@pytest.mark.parametrize(
    ("stage", "zero"),
    [
        (sft, 3),
        (grpo, 2),
        pytest.param(sft, 2, marks=pytest.mark.nightly),
        pytest.param(grpo, 3, marks=pytest.mark.nightly),
    ],
)
def test_deepspeed_learns_as_plain_data_parallelism_does(inputs, of_two, tmp_path, stage, zero):
    plain, ctx = of_two(stage), context(tmp_path, inputs)
    stage.run(ctx, CONFIGS[stage](weight_decay=0.5, launch={"processes": 2, "deepspeed": {"zero_stage": zero}}))
    assert contents(ctx.out).keys() == contents(plain.out).keys()
    for name in ("loss", "grad_norm"):
        points = [[values[name] for _, values in c.events.metrics if name in values] for c in (ctx, plain)]
        assert points[0] == pytest.approx(points[1], abs=1e-4)
    two, one = weights(ctx.out), weights(plain.out)
    assert two.keys() == one.keys()
    assert max((two[name] - one[name]).abs().max().item() for name in one) < 5e-5


@pytest.mark.slow
@pytest.mark.timeout(900)  # the first one compiles an extension
@pytest.mark.skipif(not find_spec("deepspeed"), reason="DeepSpeed is not installed")
def test_deepspeed_resumes_from_its_checkpoint(inputs, tmp_path):
    settings = {"launch": {"processes": 2, "deepspeed": {"zero_stage": 2}}, "epochs": 2, "precision": "bf16"}
    whole = context(tmp_path / "whole", inputs)
    sft.run(whole, sft_config(save_every=4, **settings))
    parts = context(tmp_path / "parts", inputs)
    shutil.copytree(whole.scratch / "checkpoints" / "checkpoint-8", parts.scratch / "checkpoints" / "checkpoint-8")
    sft.run(parts, sft_config(save_every=4, **settings))
    assert parts.events.steps[0] == 9
    assert contents(parts.out) == contents(whole.out)


@pytest.mark.skipif(bool(find_spec("deepspeed")), reason="DeepSpeed is installed")
def test_missing_deepspeed_is_an_error(inputs, tmp_path):
    with pytest.raises(UserError, match="E506"):
        sft.run(context(tmp_path, inputs), sft_config(launch={"deepspeed": {}}))


def test_muon_does_not_go_with_deepspeed():
    with pytest.raises(ValueError, match="set optimizer to adamw"):
        sft_config(optimizer="muon", launch={"deepspeed": {}})


def started_by(parent: int) -> set[int]:
    """Ids of all processes below `parent`."""
    found: set[int] = set()
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    new = {parent}
    while new:
        new = {pid for pid, above in parents.items() if above in new} - found
        found |= new
    return found


def end_with_children(parent: subprocess.Popen, number: int, wait_s: float, deadline: float) -> None:
    """Send a signal to a process that has started at least three; all of them end."""
    children = started_by(parent.pid)
    assert len(children) >= 3
    os.kill(parent.pid, number)
    parent.wait(wait_s)
    while any(alive(pid) for pid in children):
        assert time.monotonic() < deadline, "the processes outlive their parent"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end children")
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)])
def test_processes_end_with_their_parent_and_go_on_from_their_checkpoint(inputs, tmp_path, number):
    whole = context(tmp_path / "whole", inputs)
    sft.run(whole, sft_config(epochs=4))
    script = f"""
        from pathlib import Path
        from astro_factory.stages import sft
        from tests.training.test_launch import sft_config
        from tests.training.tiny import context
        inputs = {{name: Path(path) for name, path in { {k: str(v) for k, v in inputs.items()}!r}.items()}}
        sft.run(context(Path({str(tmp_path / "parts")!r}), inputs), sft_config(epochs=4, save_every=2))
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, stderr=subprocess.DEVNULL)
    checkpoints = tmp_path / "parts" / "work" / "checkpoints"
    deadline = time.monotonic() + 100
    while not any((folder / "complete-0").exists() for folder in [f.parent for f in checkpoints.glob("*/complete-1")]):
        assert time.monotonic() < deadline and parent.poll() is None
        time.sleep(0.05)
    end_with_children(parent, number, 60, deadline)
    rest = context(tmp_path / "parts", inputs)
    sft.run(rest, sft_config(epochs=4, save_every=2))
    assert rest.events.steps[0] > 2
    assert contents(rest.out) == contents(whole.out)


def test_of_a_process_that_ends_by_a_signal_the_log_before_torchruns_account_is_shown(tmp_path):
    """What torchrun of 2.13 writes when a rank aborts."""
    log = tmp_path / "processes.log"
    log.write_text("""learning
terminate called without an active exception
W1124 18:26:32.694000 17551 lib/torch/distributed/elastic/multiprocessing/api.py:1028] Sending process 17555 SIGTERM
E1124 18:26:32.759000 17551 lib/torch/distributed/elastic/multiprocessing/api.py:1002] failed (exitcode: -6)
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
Root Cause (first observed failure):
[0]:
  rank      : 1 (local_rank: 1)
  exitcode  : -6 (pid: 17556)  (SIGABRT)
""")
    assert log_tail(log) == [
        "learning", "terminate called without an active exception", "rank      : 1 (local_rank: 1)",
        "exitcode  : -6 (pid: 17556)  (SIGABRT)",
    ]  # fmt: skip
