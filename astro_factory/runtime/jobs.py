"""One stage run: in this process for light stages, in one of its own for those that load a model.

A stage process gets a job file and two pipes: events come up one; the other is held open by the builder alone, so that
the stage, and all it started, ends when the builder ends, even by kill -9.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic, Place, UserError
from astro_factory.runtime.events import EventSender
from astro_factory.store.store import StoredItems

EventHandler = Callable[[dict[str, Any]], None]

_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a stage run needs, as plain data."""

    name: str
    module: str
    config: dict[str, Any]
    inputs: dict[str, str]
    digests: dict[str, str]
    out: str
    work: str
    items: str
    log: str
    threads: int

    def run(self, send: EventHandler) -> None:
        """Run the stage in this process."""
        module = importlib.import_module(self.module)
        context = StageContext(
            name=self.name,
            inputs={name: Path(path) for name, path in self.inputs.items()},
            digests=self.digests,
            out=Path(self.out),
            work=Path(self.work),
            items=StoredItems(Path(self.items)),
            events=EventSender(send),
        )
        module.run(context, module.Config.model_validate(self.config))


class StageFailed(Exception):
    """A stage ended without its output; the text says why and shows the last lines of its log."""


def run_job(job: Job, heavy: bool, on_event: EventHandler, processes: set[subprocess.Popen]) -> None:
    """Run a job to its end. Raises `StageFailed` or `UserError`."""
    if heavy:
        _run_process(job, on_event, processes)
        return
    try:
        job.run(on_event)
    except UserError:
        raise
    except Exception as error:
        import traceback

        Path(job.log).write_text(traceback.format_exc(), encoding="utf-8")
        raise StageFailed(f"{type(error).__name__}: {error}") from error


def _run_process(job: Job, on_event: EventHandler, processes: set[subprocess.Popen]) -> None:
    job_path = Path(job.work) / "job.json"
    job_path.write_text(json.dumps(asdict(job)), encoding="utf-8")
    events_in, events_out = os.pipe()
    life_in, life_out = os.pipe()
    env = os.environ | {
        "OMP_NUM_THREADS": str(job.threads),
        "MKL_NUM_THREADS": str(job.threads),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "astro_factory.runtime.worker", str(job_path), str(events_out), str(life_in)]
    with open(job.log, "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(events_out, life_in),
            env=env,
            start_new_session=True,
        )
    processes.add(process)
    os.close(events_out)
    os.close(life_in)
    mistakes: list[Diagnostic] = []
    try:
        with os.fdopen(events_in, encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                if event["event"] == "mistake":
                    mistakes.append(_diagnostic(event["diagnostic"]))
                else:
                    on_event(event)
        code = process.wait()
    finally:
        os.close(life_out)
        processes.discard(process)
    if mistakes:
        raise UserError(*mistakes)
    if code:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        raise StageFailed(f"its process {how}\n{log_tail(Path(job.log))}")


def log_tail(path: Path, lines: int = 15) -> str:
    """The last lines of a stage's log, indented."""
    text = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join(f"    {line}" for line in text[-lines:])


def end_processes(processes: set[subprocess.Popen]) -> None:
    """Ask running stages to end, then make them."""
    running = list(processes)
    for process in running:
        _signal_group(process, signal.SIGTERM)
    for process in running:
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)


def _signal_group(process: subprocess.Popen, number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def _diagnostic(found: Mapping[str, Any]) -> Diagnostic:
    place = Place(found["file"], found["line"], found["column"]) if found["file"] else None
    return Diagnostic(found["code"], found["cause"], found["remedy"], place)


__all__ = ["EventHandler", "Job", "StageFailed", "end_processes", "log_tail", "run_job"]
