"""A spec of test kinds in a folder, with a store; builds in this process or in one of its own.

As a program, `python -m tests.runtime.bench ARGUMENTS` is `astro-factory` with the kinds of these tests.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from astro_factory.core.plans import Plan
from astro_factory.plan import make_plan
from astro_factory.runtime import Build, BuildOptions, build
from astro_factory.spec import compile_spec
from astro_factory.stages import KINDS
from astro_factory.store import Store

ROOT = Path(__file__).parents[2]
TEST_KINDS = {"light": "tests.runtime.kinds.light", "heavy": "tests.runtime.kinds.heavy"}


class Bench:
    def __init__(self, folder: Path):
        self.folder, self.notes = folder, folder / "notes"
        self.store = Store(folder / "store")
        self.path = folder / "spec.yaml"
        self.notes.mkdir(parents=True)
        self.events: list[tuple[str, dict[str, Any]]] = []

    def write(self, stages: str, more: str = "") -> None:
        """Write a spec with these stages, one per line; every stage gets the folder for notes."""
        lines = [f"  {line[:-1]}, notes: {str(self.notes)!r}}}\n" for line in stages.strip().splitlines()]
        self.path.write_text(f"factory: 1\nname: bench\n{more}stages:\n{''.join(lines)}")

    def plan(self, *sets: str) -> Plan:
        return make_plan(compile_spec(self.path, sets=sets), self.store)

    def build(self, *sets: str, jobs: int = 4, watch: Callable | None = None, **options: Any) -> Build:
        """`options` are those of `BuildOptions`."""

        def record(name: str, event: dict[str, Any]) -> None:
            self.events.append((name, event))
            if watch:
                watch(name, event)

        return build(self.plan(*sets), self.store, record, BuildOptions(jobs=jobs, **options))

    def output(self, done: Build, name: str) -> str:
        return (self.store.output(done.results[name]) / "out.txt").read_text()

    def note(self, name: str, wait_s: float = 60.0) -> list[str]:
        """The lines of a note; waits until it exists."""
        path, end = self.notes / name, time.monotonic() + wait_s
        while not (path.exists() and path.read_text().endswith("\n")):
            assert time.monotonic() < end, f"{name} was never written"
            time.sleep(0.02)
        return path.read_text().splitlines()

    def start(self, *more: str) -> subprocess.Popen:
        """Start `astro-factory build` in a new process."""
        command = [sys.executable, "-m", "tests.runtime.bench", "build", self.path, "--store", self.store.root, *more]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def gone(pid: int, within_s: float = 20.0) -> bool:
    """Whether a process ends within the time."""
    end = time.monotonic() + within_s
    while alive(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


if __name__ == "__main__":
    from astro_factory.cli.main import main

    KINDS["stages"] |= TEST_KINDS
    main()
