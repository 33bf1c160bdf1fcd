"""A small spec in a folder of its own, its commands in processes that can be hurt, and the rule that holds afterwards.

The rule: nothing finished is lost, nothing torn is believed, and a command that fails says what to do.
"""

import importlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astro_factory.cli.main import main
from astro_factory.core.results import OutputFile, Result
from astro_factory.plan import make_plan
from astro_factory.spec import compile_spec
from astro_factory.stages.validation import output_fault
from astro_factory.store import Store
from astro_factory.store.fsck import fsck

STARTUP = Path(__file__).parent / "startup"
PUBLISHED = "file:out"
SPEC = """\
factory: 1
name: fast
problems:
  puzzles: {kind: countdown, count: 10, seed: 3}
stages:
  drill: {kind: practice, count: 20}
  a: {kind: light, do: [tasks, table], text: a, notes: NOTES}
  b: {kind: light, do: [tasks, table], text: b, reads: [a], notes: NOTES}
publish:
  data: {repo: "REPO", artifacts: [puzzles, drill]}
"""
REMEDY = re.compile(
    r"[EW]\d{3} [^;]+; \w+|run the same command|fix the cause and run|the build continues|runs here instead"
)
"""What a message of a command that failed has: a code, a cause and what to do."""


@dataclass(frozen=True)
class Ended:
    """The end of a command."""

    command: str
    code: int
    """The exit code; the negative number of the signal that killed it."""
    text: str
    """What it printed."""


@dataclass(frozen=True)
class Expected:
    """What an undisturbed build makes, and how much it takes."""

    results: Mapping[str, Result]
    blobs: Mapping[str, bytes]
    published: Mapping[str, bytes]
    seconds: float

    def outputs(self, stage: str) -> tuple[str, Mapping[str, OutputFile]]:
        """The key and the output files of a stage."""
        return self.results[stage].key, self.results[stage].outputs


for _module in ("cli.building", "cli.sharing", "cli.storing", "hub.publication_cache", "stages.publish"):
    importlib.import_module(f"astro_factory.{_module}")  # so that the forks need not
importlib.import_module("huggingface_hub.hf_file_system")
importlib.import_module("pyarrow.parquet")
importlib.import_module("rich.console")


class Scene:
    """The spec with its store, in a folder that every user may write to."""

    def __init__(self, folder: Path, repo: str = PUBLISHED):
        self.folder, self.notes, self.spec = folder, folder / "notes", folder / "spec.yaml"
        self.store = Store(folder / "store")
        self.notes.mkdir(parents=True)
        self.spec.write_text(SPEC.replace("NOTES", repr(str(self.notes))).replace("REPO", repo))
        for path in (folder, self.notes):
            path.chmod(0o777)

    def start(
        self, *arguments: str, before: Callable[[], object] = lambda: None, environment: Mapping[str, str] | None = None
    ) -> "Running":
        """Begin a command of `astro-factory` in a fork of this process, which first calls `before`."""
        log = self.folder / f"log-{len(list(self.folder.glob('log-*')))}"
        if pid := os.fork():
            return Running(" ".join(arguments), pid, log)
        try:
            os.environ |= {"HOME": str(self.folder), **(environment or {})}
            sys.path.insert(0, str(STARTUP))
            os.environ["PYTHONPATH"] = os.pathsep.join([str(STARTUP), os.environ.get("PYTHONPATH", "")])
            for number in (1, 2):
                os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), number)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            sys.modules.pop("sitecustomize", None)
            importlib.import_module("sitecustomize")
            os.chdir(self.folder)
            before()
            sys.argv = ["astro-factory", *arguments]
            main()
        except SystemExit as end:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(end.code if isinstance(end.code, int) else bool(end.code))
        except BaseException:
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
        os._exit(99)

    def run(self, *arguments: str, **options: Any) -> Ended:
        return self.start(*arguments, **options).wait()

    def build(self, *more: str, **options: Any) -> Ended:
        return self.run("build", "spec.yaml", "--store", "store", *more, **options)

    def results(self) -> dict[str, Result]:
        """The results that a build would find with all their files, by stage."""
        with chdir(self.folder):  # where a publication in a folder is looked for
            planned = make_plan(compile_spec(self.spec), self.store).nodes
        found = {name: item.result for name, item in planned.items() if item.result}
        return {name: result for name, result in found.items() if self.store.has_blobs(result)}

    def blobs(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.store.root / "blobs").glob("*/[!.]*")}

    def published(self) -> dict[str, bytes]:
        return files_of(self.folder / "out")

    def finished(self) -> dict[str, list[str]]:
        """A line for each time that the tasks of a stage were completed."""
        return {path.stem: path.read_text().splitlines() for path in self.notes.glob("*.finished")}

    def take(self, other: Path) -> None:
        """Copy another store."""
        shutil.copytree(other, self.store.root)


class Running:
    """A command that may still run."""

    def __init__(self, command: str, pid: int, log: Path):
        self.command, self.pid, self._log = command, pid, log

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def children(self) -> list[int]:
        """Ids of the processes that it has started."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                if int(path.read_text().rpartition(")")[2].split()[1]) == self.pid:
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return sorted(found)

    def wait(self) -> Ended:
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return Ended(self.command, code, self._log.read_text(errors="replace") if self._log.exists() else "")


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_message(ended: Ended) -> None:
    """A command that was not killed ends in success or says what to do."""
    assert "Traceback" not in ended.text, (ended.command, ended.code, ended.text[-3000:])
    if ended.code > 0:
        assert ended.code in (1, 2, 130), ended
        assert REMEDY.search(ended.text), ended


def check_rule(scene: Scene, expected: Expected, before: Mapping[str, Result]) -> None:
    """Nothing finished is lost, nothing torn is believed, and the next build makes what an undisturbed one makes.

    `before`: the results that were finished before the fault.
    """
    there = scene.results()
    assert before.items() <= there.items(), "a finished result is lost"
    assert not fsck(scene.store, output_fault).faults, "something torn would be believed"
    runs = scene.finished()
    again = scene.build("--json", "--jobs", "1")
    assert again.code == 0, again
    outcomes = {stage["name"]: stage["outcome"] for stage in json.loads(again.text.splitlines()[-1])["stages"]}
    hits = {name for name, outcome in outcomes.items() if outcome == "hit"}
    assert there.keys() <= hits, "a finished stage ran again"
    assert all(scene.finished().get(name) == runs.get(name) for name in hits), "a finished stage ran again"
    results, blobs = scene.results(), scene.blobs()
    assert expected.results.keys() - results.keys() <= hits - there.keys(), "only a hit may be without its files"
    assert all((result.key, result.outputs) == expected.outputs(name) for name, result in results.items())
    assert all(blobs[digest] == expected.blobs[digest] for result in results.values() for digest in result.blobs)
    assert scene.published() == expected.published
    assert not fsck(scene.store, output_fault).faults
