"""The graph that a spec compiles to: what `spec` makes, `plan` gives keys to, and `runtime` executes."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import Config, StageConfig
from astro_factory.core.errors import Diagnostic, Place


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One artifact of the graph and the stage that makes it; problem sources and models are nodes too."""

    name: str
    section: str
    """The section of the spec it stands in: `models`, `problems`, `stages` or `publish`."""
    kind: str
    module: str
    """Python module of the stage kind."""
    config: StageConfig
    output: ArtifactType
    version: int
    """Semantic version of the kind's code; part of the key."""
    heavy: bool
    """Whether it loads a model and so runs in a process of its own."""
    reads: Mapping[str, str]
    """What it reads, in the order of its fields: the name that its config uses to the node that stands for it. They
    differ only in a sweep, where a variant of a stage stands for the stage."""
    files: Mapping[str, str]
    """Input files outside the store: the path as the config writes it to the path on this machine."""
    place: Place
    locate: Callable[[tuple[str | int, ...]], Place | None] = lambda path: None
    """Where the spec gives the value at a path of the config."""

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the nodes whose output it reads."""
        return tuple(self.reads.values())


def is_seed(path: str) -> bool:
    """Whether a sweep's axis makes repetitions of one variant, by its dotted path or the short end of it."""
    return path.rpartition(".")[2] == "seed"


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination of a sweep's settings."""

    settings: Mapping[str, Any]
    """Short name of each axis to its value here."""
    nodes: Mapping[str, str]
    """Name in the spec to the node that stands for it here; variants share what their settings do not touch."""
    baseline: bool
    """Whether the others are compared with it."""

    @property
    def own(self) -> dict[str, Any]:
        """The settings but for the seeds: variants that are alike in these are one, repeated."""
        return {name: value for name, value in self.settings.items() if not is_seed(name)}

    @property
    def seed(self) -> str:
        """The seeds, which tell its repetitions apart, as in `seed=0`."""
        return ", ".join(f"{name}={value}" for name, value in self.settings.items() if is_seed(name))


@dataclass(frozen=True, slots=True)
class Graph:
    """All nodes of a compiled spec in an order in which each stands after what it reads."""

    name: str
    nodes: Mapping[str, GraphNode]
    source: Mapping[str, object]
    """The spec as it was compiled: includes merged, overrides and interpolation applied."""
    imports: tuple[str, ...] = ()
    """Store exports that the spec offers, as paths on this machine."""
    lock_path: str = ""
    """The lock file beside the spec."""
    warnings: tuple[Diagnostic, ...] = field(default=())
    targets: tuple[str, ...] | None = None
    """What a build is for; by default all stages and publications."""
    sweeps: tuple[str, ...] = ()
    """Names of the sweeps that the spec offers."""
    variants: tuple[Variant, ...] = ()
    """Of the sweep that this is."""
    sweep: Config | None = None
    """The sweep that this is, as the spec writes it (`spec.sweeps.Sweep`)."""
    strict: bool = False
    """Whether versions and hardware count (`env: strict`)."""

    def wanted(self, targets: Collection[str] | None = None) -> set[str]:
        """What a build of the targets is about: they and all they depend on.

        By default the targets are all stages and publications, so that a model or a problem set that nothing uses costs
        nothing; a graph without stages is all models and problem sets.
        """
        targets = self.targets if targets is None else targets
        if targets is None:
            targets = [name for name, node in self.nodes.items() if node.section in ("stages", "publish")]
        return self.closure(set(targets or self.nodes))

    def closure(self, names: set[str]) -> set[str]:
        """The named nodes and all they depend on."""
        found: set[str] = set()
        stack = list(names)
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack.extend(self.nodes[name].references)
        return found
