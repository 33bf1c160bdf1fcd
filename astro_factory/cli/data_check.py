"""`check --data`: every row of a spec's local problem files, read as a build would read it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astro_factory.core.code_folders import code_variables
from astro_factory.core.context import Events
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.graph import Graph
from astro_factory.core.workers import Worker, WorkerError
from astro_factory.verifiers.registry import VERIFIERS

if TYPE_CHECKING:
    from astro_factory.stages.problems.file import Config


def check_data(graph: Graph, trust: bool = False, quiet: bool = False) -> None:
    """Read the files and print how many problems each gives, and what its rows show.

    A verifier that is not built in is code from outside the package, which `check` runs only with `trust`, in a process
    of its own. Without it, files that need one are reported as not read.

    Raises:
        UserError: with the faults of all files.
    """
    from astro_factory.stages.problems import file

    faults: list[Diagnostic] = []
    for name, node in graph.nodes.items():
        config = node.config
        if not isinstance(config, file.Config):
            continue
        is_own = config.verifier not in VERIFIERS.builtin
        if is_own and not trust:
            _say(f"{name}: not read, since '{config.verifier}' is code from outside the package", quiet)
            continue
        work = (config, Path(node.files[config.path]))
        try:
            lines, count = _read_apart(graph, *work) if is_own else _read(work)
        except UserError as error:
            faults += error.diagnostics
            continue
        for line in lines:
            _say(line, quiet)
        _say(f"{name}: {count:,} problems", quiet)
    if faults:
        raise UserError(*faults)


def _read(work: "tuple[Config, Path]") -> tuple[list[str], int]:
    """The notes on a file, and how many problems it gives."""
    from astro_factory.stages.problems import file

    notes = _Notes()
    return notes.lines, len(file.read(*work, notes))


def _read_apart(graph: Graph, config: "Config", path: Path) -> tuple[list[str], int]:
    """`_read` in a process of its own. Raises `UserError`, E402 if the verifier fails."""
    with Worker(f"{__name__}:_read", environment=code_variables(graph.code_modules())) as worker:
        try:
            return worker.call((config, path))
        except WorkerError as error:
            cause = f"verifier '{config.verifier}' fails on a row ({error.last_line})"
            raise UserError.of("E402", cause, "fix the error in its code") from None


def _say(line: str, quiet: bool) -> None:
    if not quiet:
        print(line)


class _Notes(Events):
    """Keeps what a stage would log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def progress(self, done: int, total: int, unit: str = "", **figures: float) -> None:
        pass

    def metric(self, step: int, values: Mapping[str, Any]) -> None:
        pass

    def log(self, text: str) -> None:
        self.lines.append(text)
