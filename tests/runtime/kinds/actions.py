"""The actions that the stage kinds of these tests can perform."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.canonical import digest
from astro_factory.core.config import NOT_SEMANTIC, ROUNDING, FileField, Reference, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.dialogues import dialogue_schema
from astro_factory.core.errors import Diagnostic, Place, UserError
from astro_factory.core.tables import write_table
from astro_factory.core.workers import Worker
from astro_factory.store.files import write_atomic

Any_ = Annotated[str, Reference(tuple(ArtifactType))]


class Actions(StageConfig):
    do: tuple[str, ...] = ()
    """Names of functions in this module, in order."""
    text: str = "text"
    """The content of the output."""
    reads: tuple[Any_, ...] = ()
    """Stages whose outputs are copied into this one."""
    file: FileField | None = None
    """An input file that is copied too."""
    takes: Annotated[int, NOT_SEMANTIC] = 1
    """Cores."""
    memory: Annotated[float, NOT_SEMANTIC] = 0
    """Gigabytes."""
    gpus: Annotated[int, NOT_SEMANTIC] = 0
    """GPUs."""
    parts: Annotated[int, ROUNDING] = 1
    """Moves only the last bits."""
    notes: Annotated[str, NOT_SEMANTIC] = ""
    """A folder for notes that the test reads."""


def note(ctx: StageContext, config: Actions, name: str, text: object = "") -> None:
    """Add a line to a file of the notes."""
    with open(Path(config.notes) / f"{ctx.name}.{name}", "a") as file:
        file.write(f"{text}\n")


def act(ctx: StageContext, config: Any) -> None:
    parts = [config.text, *((ctx.inputs[name] / "out.txt").read_text() for name in config.reads)]
    if config.file:
        parts.append(ctx.inputs[config.file].read_text())
    for name in config.do:
        globals()[name](ctx, config)
    if "nothing" not in config.do:
        (ctx.out / "out.txt").write_text("\n".join(parts))


def nothing(ctx, config):
    pass


def table(ctx, config):
    """Write the file that an output of this type needs to be imported."""
    write_table(ctx.out / "dialogues.parquet", [], dialogue_schema())


def count(ctx, config):
    note(ctx, config, "runs", os.getpid())


def devices(ctx, config):
    """Note the GPUs that the process sees, and keep them for a while."""
    note(ctx, config, "devices", os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
    nap(ctx, config)


def fail(ctx, config):
    ctx.events.log("about to fail")
    raise ValueError("no such luck")


def fail_silently(ctx, config):
    print("printed to the log")


def mistake(ctx, config):
    place = Place("problems.jsonl", 3, 7)
    raise UserError(
        Diagnostic("E900", "a row is wrong", "fix it", place, "    {oops}\n     ^"),
        Diagnostic("E901", "so is another"),
    )


def leave(ctx, config):
    sys.exit("gone")


def exit(ctx, config):
    os._exit(7)


def die(ctx, config):
    print("last words", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def crash(ctx, config):
    import ctypes

    ctypes.string_at(0)


def half_way(ctx, config):
    """Write a checkpoint and fail; note it in the next run."""
    checkpoint = ctx.scratch / "checkpoints" / "checkpoint-1"
    if checkpoint.exists():
        return note(ctx, config, "resumed", checkpoint.read_text())
    checkpoint.parent.mkdir()
    checkpoint.write_text(f"made in {config.parts} parts")
    raise MemoryError("out of memory")


def die_once(ctx, config):
    """Keep an item and a file in the scratch folder, die, and use them in the next run."""
    if ctx.items.get("ab" * 32) is None:
        ctx.items.put("ab" * 32, b"kept")
        (ctx.scratch / "checkpoint").write_text("half way")
        (ctx.out / "torn.txt").write_text("half an out")
        die(ctx, config)
    note(ctx, config, "resumed", (ctx.scratch / "checkpoint").read_text())


def curve(ctx, config):
    for step in range(3):
        ctx.events.metric(step, {"loss": 3.0 - step})
    ctx.events.progress(3, 3, "steps", loss=1.0)


def curve_in_two_runs(ctx, config):
    """Four steps with a checkpoint after the second; the first run dies after the third."""
    checkpoint = ctx.scratch / "checkpoint"
    resumes = checkpoint.exists()
    for step in range(3 if resumes else 1, 5):
        ctx.events.metric(step, {"loss": 10.0 * step + resumes})
        if step == 2:
            checkpoint.touch()
        if step == 3 and not resumes:
            die(ctx, config)


def learn(ctx, config):
    """Half of a training run; the other half when the test writes the note `go`."""
    ctx.events.phase("train")
    ctx.events.progress(0, 60, "steps")
    for step in range(1, 31):
        ctx.events.metric(step, {"reward": step / 60, "loss": 1 - step / 60})
    rollout = {"problem": "p1", "text": "one\n\x1b[31mtwo", "verdict": "correct", "reward": 1.0}
    ctx.events.metric(30, {"rollouts": [rollout] * 2})
    time.sleep(0.3)  # progress is sent five times a second
    ctx.events.progress(30, 60, "steps", loss=0.5)
    note(ctx, config, "learns", os.getpid())
    while not (Path(config.notes) / "go").exists():
        time.sleep(0.05)
    ctx.events.progress(60, 60, "steps", loss=0.1)


def nap(ctx, config):
    time.sleep(0.3)


def sleep(ctx, config):
    note(ctx, config, "asleep", os.getpid())
    ctx.events.log("asleep")
    time.sleep(600)


def sleep_unless_woken(ctx, config):
    if not (Path(config.notes) / "awake").exists():
        sleep(ctx, config)


def spend(ctx, config):
    """Spend a hundred tokens, ten at a time; the scratch folder keeps the progress."""
    kept = ctx.scratch / "spent"
    for number in range(len(kept.read_text()) if kept.exists() else 0, 10):
        kept.write_text("." * (number + 1))
        note(ctx, config, "spent", number)
        ctx.events.spent(tokens=10, calls=1)
        time.sleep(0.25)


def talk(ctx, config):
    """Log something for seven seconds."""
    for number in range(14):
        ctx.events.log(str(number))
        time.sleep(0.5)


def hang(ctx, config):
    """Hang during a phase, with a worker that hangs too."""
    ctx.events.phase("rollout")
    ctx.events.progress(3, 8, "steps")
    note(ctx, config, "hangs", os.getpid())
    with Worker("time:sleep") as worker:
        worker.call(600)


def save_on_sigterm(ctx, config):
    """Sleep; when asked to stop, save that for the next run."""
    if (ctx.scratch / "saved").exists():
        return
    note(ctx, config, "asleep", os.getpid())
    try:
        ctx.events.log("asleep")
        time.sleep(600)
    except SystemExit:
        (ctx.scratch / "saved").touch()
        raise


def tasks(ctx, config):
    """Eight tasks, each kept as an item or in the scratch folder; a note when all are done."""
    kept = ctx.scratch / "kept"
    for number in range(8):
        key = digest([ctx.name, config.text, number])
        if number % 2 and ctx.items.get(key) is None:
            ctx.items.put(key, f"{key} {config.text}".encode())
        elif number % 2 == 0 and number not in (done := json.loads(kept.read_text()) if kept.exists() else []):
            write_atomic(kept, json.dumps([*done, number]).encode(), durable=False)
        time.sleep(0.01)
    values = [ctx.items.get(digest([ctx.name, config.text, number])).decode() for number in (1, 3, 5, 7)]
    (ctx.out / "tasks.json").write_text(json.dumps([values, json.loads(kept.read_text())]))
    note(ctx, config, "finished")


def swell(ctx, config):
    """Use more memory than a shared process may keep."""
    bytearray(1100 << 20)


def heap(ctx, config):
    """Write half a megabyte, some to the log."""
    ctx.events.log("x" * 1000)
    ctx.items.put("cd" * 32, bytes(100_000))
    (ctx.out / "heap").write_bytes(bytes(500_000))


def child(ctx, config):
    """Leave a process running that keeps every inherited file open."""
    process = subprocess.Popen(["sleep", "600"], close_fds=False)
    note(ctx, config, "child", process.pid)


def forked_child(ctx, config):
    """Leave a fork of this process running, with its pipes, as data loaders do."""
    pid = os.fork()
    if not pid:
        time.sleep(600)
    note(ctx, config, "child", pid)


def edit(ctx, config):
    """Change the input file."""
    ctx.inputs[config.file].write_text("changed while it was read")
