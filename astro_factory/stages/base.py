"""The interface of a stage kind: a module that holds the names of `StageKind`."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic
from astro_factory.core.graph import GraphNode
from astro_factory.core.machines import Machine
from astro_factory.core.model_shapes import ModelShape
from astro_factory.core.requirements import Changes, Requirements
from astro_factory.core.workload import Extrapolation, Rows, Workload

REQUIRED = ("Config", "OUTPUT", "VERSION", "HEAVY", "run")
"""What a module must define. Every other name of `StageKind` is a hook with a default."""


class StageKind(Protocol):
    """What the factory asks of a stage kind. `config` is always an instance of the kind's own `Config`.

    A module defines the five required names, and those hooks whose default does not fit. The bodies below are the
    defaults. Hooks must be fast and import no heavy library: they run while a spec is checked or planned.
    """

    Config: type[StageConfig]
    """The fields of the stage in a spec, with a field `kind: Literal["NAME"]`."""
    OUTPUT: ArtifactType
    """Type of the artifact that the stage makes."""
    VERSION: int
    """Semantic version of the code, part of the key. Raise it when outputs may differ for equal inputs."""
    HEAVY: bool
    """Whether `run` loads a model, and so gets a process of its own. Light stages share processes."""

    module: str
    """Name of the module; filled in by `stage_kind`."""
    hooks: frozenset[str]
    """The hooks that the module defines itself; filled in by `stage_kind`."""

    def run(self, ctx: StageContext, config: Any) -> None:
        """Read `ctx.inputs`, write files into `ctx.out`. Called in a stage process.

        Raises:
            UserError: for what the user can fix. Every other exception counts as a defect of the kind.
        """
        raise NotImplementedError

    def check(self, config: Any, files: Mapping[str, str]) -> Iterable[Diagnostic]:
        """Errors that can be found without running the stage. Called when a spec is compiled.

        Args:
            files: path of each input file, as the config writes it, to its path on this machine.
        """
        return ()

    def estimate(self, config: Any, rows: Rows) -> Workload:
        """How much a run has to do. Called by `plan`, and after a run to record its cost.

        Args:
            rows: number of rows of each artifact that the config names, as far as known.
        """
        return Workload("runs", 1)

    def probe(self, ctx: StageContext, config: Any, count: int) -> None:
        """Make `count` of a run's items, drawn at random, and store them for a later `run`. Called by `probe`.

        Without this hook a kind cannot be probed.
        """

    def extrapolate(self, ctx: StageContext, config: Any) -> Extrapolation | None:
        """What the items in the store say about a run. Called by `plan` where the inputs are in the store; `ctx` has no
        output folder, and nothing may be written."""
        return None

    def cores(self, config: Any) -> float:
        """CPU cores that a run keeps busy. Called by the scheduler."""
        return 1

    def gpus(self, config: Any) -> float:
        """GPUs that a run needs. Called by the scheduler."""
        return 0

    def memory_gb(self, config: Any) -> float:
        """Memory that a run needs. Called by the scheduler."""
        return 0

    def shape(self, config: Any, shapes: Mapping[str, ModelShape]) -> ModelShape | None:
        """The shape of the model that a run makes, as far as known. Called by `plan`.

        Args:
            shapes: of each model that the config names, as far as known. By default the output has that of `model`.
        """
        return shapes.get(getattr(config, "model", ""))

    def requirements(
        self, config: Any, shapes: Mapping[str, ModelShape], workload: Workload, machine: Machine
    ) -> Requirements | None:
        """Memory, disk and time that a run needs on a machine; None if unknown. Called by `plan`."""
        return None

    def lighter(self, config: Any, machine: Machine) -> Iterable[Changes]:
        """Changes of the config that lower its requirements, the mildest first. Called if a run does not fit."""
        return ()

    def threads(self, config: Any) -> int:
        """Threads of numerical libraries in the stage's process. Called when the process starts."""
        return 1

    def preflight(self, config: Any, upstream: Sequence[GraphNode], online: bool) -> Iterable[Diagnostic]:
        """What would make a run fail for reasons outside the spec. Called by `build` before anything runs.

        Args:
            upstream: the nodes that the stage depends on, directly and indirectly.
            online: whether the network may be used.
        """
        return ()

    def servers(self, config: Any, models: Mapping[str, str]) -> Iterable[str]:
        """Commands for a shell that start the servers which have to run before a run starts. Called by `plan`.

        Args:
            models: each model that the config names, as a word of the shell: a folder or a repository on the Hub.
        """
        return ()

    def intact(self, config: Any, output: Path) -> bool:
        """Whether what a run left outside the store still exists. Called for each hit; False runs the stage again.

        Args:
            output: folder of the result in the store.
        """
        return True


HOOKS = (
    "check",
    "estimate",
    "probe",
    "extrapolate",
    "cores",
    "gpus",
    "memory_gb",
    "shape",
    "requirements",
    "lighter",
    "threads",
    "preflight",
    "servers",
    "intact",
)


class _ModuleKind(StageKind):
    """A module's own names over the defaults."""

    def __init__(self, module: Any):
        self.Config, self.OUTPUT, self.VERSION, self.HEAVY = module.Config, module.OUTPUT, module.VERSION, module.HEAVY
        self.module = module.__name__
        self.hooks = frozenset(HOOKS) & vars(module).keys()
        self._run = module.run
        vars(self).update({name: getattr(module, name) for name in self.hooks})

    def run(self, ctx: StageContext, config: Any) -> None:
        self._run(ctx, config)


@cache
def stage_kind(module: str) -> StageKind:
    """The stage kind that a module defines, with defaults for the hooks that it lacks."""
    return _ModuleKind(import_module(module))
