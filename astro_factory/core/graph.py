"""The graph that a spec compiles to: `spec` creates it, `plan` adds keys, and `runtime` executes it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import Config, StageConfig
from astro_factory.core.errors import Diagnostic, Place
from astro_factory.core.tracking import Tracker


@dataclass(frozen=True, slots=True)
class NamedCode:
    """Python code that the spec names and its stages execute."""

    role: str
    """What it is: `verifier`, `search policy` or `engine`."""
    target: str
    """`package.module:Name`."""
    error: str
    """Code of the error that it cannot be loaded."""
    file: str
    """Its source file as messages show it; empty if it is not there."""
    publication: str
    """Folder of the publication that names or holds it, as messages show it; empty for the user's own code."""
    place: Place | None
    """Where it is named."""
    digest: str = ""
    """Digest of the source; empty if there is none, or if the spec states the version of the code itself."""
    digest_path: tuple[str | int, ...] = ()
    """Path of that digest in the config of the node."""
    folders: tuple[str, ...] = ()
    """Where modules beside the spec are looked up."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Top-level modules beside the spec that it needs, with the folder of each."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Files of these modules: path in that folder to path on this machine."""

    def __str__(self) -> str:
        """As messages call it, with the value that names it; unique in a spec."""
        return f"{self.role} '{'python:' if self.role == 'verifier' else ''}{self.target}'"


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One artifact of the graph and the stage that produces it. Problem sources and models are nodes, too."""

    name: str
    section: str
    """Its section of the spec: `models`, `problems`, `stages` or `publish`."""
    kind: str
    module: str
    """Python module of the stage kind."""
    config: StageConfig
    output: ArtifactType
    version: int
    """Semantic version of the kind's code; part of the key."""
    heavy: bool
    """Whether it loads a model and so runs in its own process."""
    reads: Mapping[str, str]
    """Its inputs in the order of its fields: each name in its config to the name of the node. The two differ only in a
    sweep, where the node is a variant."""
    files: Mapping[str, str]
    """Input files outside the store: the path in the config to the path on this machine."""
    place: Place
    locate: Callable[[tuple[str | int, ...]], Place | None] = lambda path: None
    """Where the spec sets the value at a path of the config."""
    code: tuple[NamedCode, ...] = ()
    """The code that its config names."""

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the nodes that it reads."""
        return tuple(self.reads.values())


def is_seed(path: str) -> bool:
    """Whether an axis of a sweep, given by its path or short name, repeats variants with other seeds."""
    return path.rpartition(".")[2] == "seed"


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination of values of a sweep's axes."""

    settings: Mapping[str, Any]
    """Short name of each axis to its value in this variant."""
    nodes: Mapping[str, str]
    """Name in the spec to its node in this variant. Variants share the nodes that their settings do not affect."""
    baseline: bool
    """Whether the other variants are compared with this one."""

    @property
    def own(self) -> dict[str, Any]:
        """The settings without seeds. Variants with the same `own` are repetitions of one variant."""
        return {name: value for name, value in self.settings.items() if not is_seed(name)}

    @property
    def seed(self) -> str:
        """The seeds, which distinguish repetitions, as in `seed=0`."""
        return ", ".join(f"{name}={value}" for name, value in self.settings.items() if is_seed(name))


@dataclass(frozen=True, slots=True)
class Graph:
    """All nodes of a compiled spec, each after the nodes that it reads."""

    name: str
    nodes: Mapping[str, GraphNode]
    source: Mapping[str, object]
    """The spec as compiled: includes merged, overrides applied, `like` and `${...}` resolved."""
    imports: tuple[str, ...] = ()
    """Store exports listed under `imports:`, as paths on this machine."""
    lock_path: str = ""
    """The lock file beside the spec."""
    warnings: tuple[Diagnostic, ...] = field(default=())
    targets: tuple[str, ...] | None = None
    """What to build; by default all stages and publications."""
    sweeps: tuple[str, ...] = ()
    """Names of the sweeps that the spec defines."""
    variants: tuple[Variant, ...] = ()
    """If this is the graph of a sweep, its variants."""
    sweep: Config | None = None
    """If this is the graph of a sweep, its definition (a `spec.sweeps.Sweep`)."""
    strict: bool = False
    """Whether library versions and hardware are part of the keys (`env: strict`)."""
    track: Tracker | None = None
    """The experiment tracker; its folder is a path on this machine."""

    def only(self, targets: Collection[str] | None) -> "Graph":
        """The same graph with other targets; None keeps its own."""
        return self if targets is None else replace(self, targets=tuple(targets))

    def wanted(self, targets: Collection[str] | None = None) -> set[str]:
        """The targets and everything they depend on.

        The default targets are all stages and publications, so an unused model or problem set costs nothing. A graph
        without stages is all models and problem sets.
        """
        targets = self.targets if targets is None else targets
        if targets is None:
            targets = [name for name, node in self.nodes.items() if node.section in ("stages", "publish")]
        return self.closure(set(targets or self.nodes))

    def closure(self, names: set[str]) -> set[str]:
        """The named nodes and everything they depend on."""
        found: set[str] = set()
        stack = list(names)
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack.extend(self.nodes[name].references)
        return found

    def code_behind(self, names: Collection[str]) -> list[NamedCode]:
        """The code that some nodes execute: what they name, and what the nodes that they depend on name."""
        nodes = self.closure(set(names))
        found = {str(code): code for name in self.nodes if name in nodes for code in self.nodes[name].code}
        return list(found.values())

    def code_modules(self) -> dict[str, str]:
        """Every module beside the spec that some node needs, with its folder."""
        return {name: folder for code in self.code_behind(self.nodes) for name, folder in code.modules.items()}
