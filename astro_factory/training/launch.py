"""Distributed training: torchrun starts several processes, rank 0 writes the output, and all die with their parent.

    run_distributed("astro_factory.stages.sft", ctx, config, config.launch)    # in the stage's process
    python -m astro_factory.training.launch JOB.json                           # in each process that torchrun starts

Each process calls the stage's `run(ctx, config)` again, where `is_training_process()` is true. Rank 0 sends its events
through a file of JSON lines that the parent follows. On SIGTERM to the parent the processes first save a checkpoint; if
the parent is killed, they are killed at once. With several nodes this one is the head, and `training.joining` runs the
processes of the others; on a Ray cluster, `training.ray_launch` runs all of them.
"""

import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, TextIO

from astro_factory.core import stack_dumps
from astro_factory.core.context import Events, Items, StageContext
from astro_factory.core.devices import torch_device, visible_to
from astro_factory.core.errors import UserError
from astro_factory.core.user_code import import_target
from astro_factory.training.extensions import extensions_folder
from astro_factory.training.failures import clear_failures, log_tail, raise_first, read_failures, record_failure
from astro_factory.training.head import Meeting, NodeLost, meet
from astro_factory.training.launch_settings import Launch
from astro_factory.training.settings import TrainingConfig

PROGRAM = "astro_factory.training.launch"
"""What torchrun runs in each process."""
_MARKER = "ASTRO_FACTORY_TRAINING_PROCESS"
_PARENT_DEATH = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""
_POLL_S = 0.2
_EXIT_S = 15
"""How long torchrun may take to end after its processes."""


def is_training_process() -> bool:
    """Whether `run_distributed` started this process."""
    return _MARKER in os.environ


def run_distributed(module: str, ctx: StageContext, config: TrainingConfig, launch: Launch) -> None:
    """Run the stage `module` in `launch.processes` processes and wait for them.

    A user error of a process is raised here; any other failure raises `RuntimeError` with the last lines of its output.
    An exception during the wait, such as the exit on SIGTERM, first lets the processes save a checkpoint.
    """
    events_file, job_file = (ctx.scratch / f"processes.{suffix}" for suffix in ("events", "json"))
    events_file.write_text("")
    clear_failures(ctx.scratch)
    job = {
        "module": module,
        "config": config.model_dump(mode="json"),
        "name": ctx.name,
        "inputs": {name: str(path) for name, path in ctx.inputs.items()},
        "out": str(ctx.out),
        "work": str(ctx.scratch),
    }
    job_file.write_text(json.dumps(job))
    if launch.backend == "ray":
        from astro_factory.training.ray_launch import run_on_ray

        with events_file.open() as events:
            run_on_ray(ctx, config, job_file, lambda is_running: _follow(is_running, events, ctx.events))
    else:
        check_sharding(launch)
        _run_here(ctx, config, job_file, events_file)


def _run_here(ctx: StageContext, config: TrainingConfig, job_file: Path, events_file: Path) -> None:
    """Run the processes of this node, which is the head if there are several."""
    launch, log_file = config.launch, ctx.scratch / "processes.log"
    with (
        closing(meet(ctx, launch)) if launch.nodes > 1 else nullcontext() as members,
        log_file.open("wb") as log,
        events_file.open() as events,
    ):
        meeting = members.begin(job_file) if members else None
        process = start(launch, job_file, config.grace_s, log, meeting)
        lost = None

        def is_running() -> bool:
            if process.poll() is not None:
                return False
            if members:
                members.check()
            return True

        try:
            _follow(is_running, events, ctx.events)
        except NodeLost as reason:
            process.kill()  # its processes wait for the node that is gone
            lost = reason
        finally:
            end(process, config.grace_s + _EXIT_S)
        failures = read_failures(ctx.scratch)
        if members and (failures or lost or process.returncode):
            failures = members.failures(failures)
            lost = lost or members.lost()
    if failures or lost or process.returncode:
        code = f"{launch.processes} training processes ended with code {process.returncode}"
        raise_first(failures, code, lost, log_tail(log_file))


def check_sharding(launch: Launch) -> None:
    """Raises `UserError` E506 if DeepSpeed is missing on this machine, E548 if FSDP finds no GPU here."""
    if launch.deepspeed and not find_spec("deepspeed"):
        raise UserError.of(
            "E506", "launch.deepspeed needs DeepSpeed, which is not installed", "pip install 'astro-factory[deepspeed]'"
        )
    if launch.fsdp and torch_device() != "cuda":
        cause = "launch.fsdp needs GPUs: on a CPU, accelerate trains with plain data parallelism and does not say so"
        raise UserError.of("E548", cause, "leave out launch.fsdp here, for example in a profile")


def hide_gpus(launch: Launch) -> None:
    """Hide the GPUs of this machine from this process and its children if training is to run on CPUs everywhere.

    A builder does so for its stages; other nodes are not in its hands.
    """
    if launch.device == "cpu":
        os.environ |= visible_to([])


def start(
    launch: Launch, job_file: Path, grace_s: float, log: IO[bytes], meeting: Meeting | None = None
) -> subprocess.Popen[bytes]:
    """Start torchrun with this node's processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(launch.processes // launch.nodes)]
    if meeting is None:
        command += ["--standalone"]
    else:
        command += ["--nnodes", str(launch.nodes), "--node-rank", str(meeting.node)]
        command += ["--master-addr", meeting.host, "--master-port", str(meeting.port)]
        command += ["--rdzv-conf", f"timeout={math.ceil(launch.rendezvous_s)}"]
    command += ["-m", PROGRAM, str(job_file)]
    return subprocess.Popen(
        command, stdout=log, stderr=log, env=_environment(launch, grace_s), preexec_fn=die_with_parent
    )


def die_with_parent() -> None:
    """On Linux, have this process killed when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PARENT_DEATH, signal.SIGKILL)
        if os.getppid() == 1:  # the parent ended before the call
            os.kill(os.getpid(), signal.SIGKILL)


def _environment(launch: Launch, grace_s: float) -> dict[str, str]:
    """The children's environment: it finds our package and the interpreter's tools (ninja), and sets threads.

    `grace_s` is how long torchrun waits after SIGTERM until it kills them.
    """
    root = str(Path(__file__).resolve().parents[2])
    variables = os.environ | {_MARKER: "1", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(math.ceil(grace_s))}
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [root, variables.get("PYTHONPATH")]))
    variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", "")])
    variables.setdefault("OMP_NUM_THREADS", "1")
    if launch.deepspeed and torch_device() != "cuda":
        variables["DS_ACCELERATOR"] = "cpu"
        variables.setdefault("TORCH_EXTENSIONS_DIR", str(extensions_folder()))
    return variables


def _follow(is_running: Callable[[], bool], lines: TextIO, events: Events) -> None:
    """Forward events until the processes have ended."""
    ended = False
    pending = ""
    while True:
        pending += lines.read()
        *complete, pending = pending.split("\n")
        for line in complete:
            kind, *values = json.loads(line)
            getattr(events, kind)(*values)
        if ended:
            return
        ended = not is_running()
        if not ended:
            time.sleep(_POLL_S)


def end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Terminate torchrun, which stops its processes; kill it after `grace_s`."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _FileEvents(Events):
    """Appends events as JSON lines; only rank 0 writes."""

    def __init__(self, path: Path, first: bool):
        self._file = path.open("a", buffering=1) if first else None

    def _send(self, *values: object) -> None:
        if self._file:
            self._file.write(json.dumps(values) + "\n")

    def progress(self, done: int, total: int, unit: str = "", **figures: float) -> None:
        self._send("progress", done, total, unit)

    def metric(self, step: int, values: Mapping[str, Any]) -> None:
        self._send("metric", step, dict(values))

    def log(self, text: str) -> None:
        self._send("log", text)

    def phase(self, name: str) -> None:
        self._send("phase", name)

    def spent(self, tokens: int = 0, calls: int = 0) -> None:
        self._send("spent", tokens, calls)


class _NoItems(Items):
    """Training keeps checkpoints instead of items."""

    def get(self, key: str) -> bytes | None:
        return None

    def put(self, key: str, value: bytes) -> None:
        raise NotImplementedError("training processes have no items")


def main() -> None:
    die_with_parent()
    stack_dumps.listen(f"rank {os.environ['RANK']}")
    job = json.loads(Path(sys.argv[1]).read_text())
    module = import_target(job["module"])
    work = Path(job["work"])
    events = _FileEvents(work / "processes.events", os.environ["RANK"] == "0")
    inputs = {name: Path(path) for name, path in job["inputs"].items()}
    ctx = StageContext(job["name"], inputs, {}, Path(job["out"]), work, _NoItems(), events)
    code = 0
    try:
        module.run(ctx, module.Config.model_validate(job["config"]))
    except BaseException as error:
        record_failure(work, int(os.environ["RANK"]), error)
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # destructors of C++ libraries may abort while a thread runs, which would look like a failure; and a thread that
    # samples the next round would hold up the end of a process that has failed
    os._exit(code)


if __name__ == "__main__":
    main()
