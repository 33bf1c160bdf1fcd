"""`check --data`: every row of a spec's local problem files, read as a build would read it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astro_factory.core.context import Events
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.graph import Graph
from astro_factory.verifiers.registry import VERIFIERS


def check_data(graph: Graph, quiet: bool = False) -> None:
    """Read the files and print how many problems each gives, and what its rows show.

    A verifier that is not built in is code from outside the package, which `check` never runs. Files that need one are
    reported as not read.

    Raises:
        UserError: with the faults of all files.
    """
    from astro_factory.stages.problems import file

    faults: list[Diagnostic] = []
    for name, node in graph.nodes.items():
        config = node.config
        if not isinstance(config, file.Config):
            continue
        if config.verifier not in VERIFIERS.builtin:
            _say(f"{name}: not read, since '{config.verifier}' is code from outside the package", quiet)
            continue
        notes = _Notes()
        try:
            problems = file.read(config, Path(node.files[config.path]), notes)
        except UserError as error:
            faults += error.diagnostics
            continue
        for line in notes.lines:
            _say(line, quiet)
        _say(f"{name}: {len(problems):,} problems", quiet)
    if faults:
        raise UserError(*faults)


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
