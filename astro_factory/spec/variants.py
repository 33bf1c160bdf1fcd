"""Expands a sweep to one graph, in which variants share every stage that their settings do not affect.

A variant is the spec with one value for each axis, set as `--set` would set it. Each entry is compiled on its own while
recording which parts of the spec it reads. It depends only on the axes that change those parts, so it is compiled once
per combination of their values, however many variants there are. A node is named by the axes that it or its inputs
depend on: `traces[template=terse]`. To report the errors of a variant, it is compiled as a whole.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from astro_factory.core.annotations import marked
from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import Reference
from astro_factory.core.errors import Diagnostic, UserError, near
from astro_factory.core.graph import Graph, GraphNode, Variant
from astro_factory.spec import compose
from astro_factory.spec.checking import dotted
from astro_factory.spec.compiler import Compiler, compile_document
from astro_factory.spec.likeness import reached, spell_out
from astro_factory.spec.origins import Origins
from astro_factory.spec.reader import Document, KeyPath
from astro_factory.spec.sections import DEFINITION_SECTIONS, NODE_SECTIONS
from astro_factory.spec.sweeps import Sweep, axes_of, positions

_MOST_FAILURES = 20
"""Most variants whose errors are reported."""

Position = tuple[int, ...]
"""A variant: the index of its value on each axis."""


def expand(document: Document, path: Path, name: str) -> Graph:
    """The graph of a sweep, from a document that is not interpolated yet.

    Raises:
        UserError: the errors of the spec or of a variant; E160 for an unknown sweep, E161 for an axis without effect.
    """
    base = compile_document(replace(document, data=dict(document.data), origins={}), path)
    sweeps = document.data.get("sweeps") or {}
    if name not in sweeps:
        cause = f"the spec has no sweep '{name}'"
        raise UserError(document.diagnose("E160", ("sweeps",), cause, near(name, sweeps) or "add it to `sweeps:`"))
    return _Expansion(document, path, name, Sweep.model_validate(sweeps[name]), base).graph()


class _Broken(Exception):
    """The current variant is not valid."""


class _VariantSpec(NamedTuple):
    """The spec of one variant."""

    document: Document
    """With `like` resolved and `${...}` not yet."""
    reach: list[list[tuple[str, ...]]]
    """For each axis, the paths whose values it changes."""


class _Draft(NamedTuple):
    """An entry compiled on its own."""

    node: GraphNode
    axes: frozenset[int]
    """The axes that the entry itself depends on."""
    types: list[tuple[str, tuple[ArtifactType, ...]]]
    """The names of its inputs and their allowed types."""


class _Expansion:
    def __init__(self, document: Document, path: Path, name: str, sweep: Sweep, base: Graph):
        self.document, self.path, self.name, self.sweep, self.base = document, path, name, sweep, base
        self.axes = axes_of(sweep)
        self.axis_paths = [compose.split(document.data, axis.path) for axis in self.axes]
        self.templates: dict[tuple[str, str], Any] = {}
        self.drafts: dict[tuple[str, str], dict[frozenset[int], dict[Position, _Draft]]] = {}
        """By section and name, by the axes that the entry depends on, by their positions."""
        self.nodes: dict[str, GraphNode] = {}
        self.touched: dict[str, frozenset[int]] = {}
        """Node to the axes that it or its inputs depend on."""

    def graph(self) -> Graph:
        targets, variants, broken = {}, [], []
        baseline = self.sweep.baseline_position()
        for position in positions(self.axes):
            try:
                found = _Linking(self, position)
                variants.append(Variant(self._settings(position), found.nodes, position == baseline))
                targets |= dict.fromkeys(found.targets)
            except (_Broken, UserError):
                broken.append(position)
                if len(broken) == _MOST_FAILURES:
                    break
        if broken:
            raise UserError(*dict.fromkeys(found for position in broken for found in self.errors(position)))
        self._check_axes(list(targets))
        return replace(self.base, nodes=self.nodes, targets=tuple(targets), variants=tuple(variants), sweep=self.sweep)

    def _settings(self, position: Position) -> dict[str, Any]:
        return {axis.name: axis.values[at] for axis, at in zip(self.axes, position, strict=True)}

    def spec(self, position: Position) -> _VariantSpec:
        """The spec of a variant; it shares all unchanged values with the original.

        Raises `UserError` E110, and `_Broken` if `like` cannot be resolved.
        """
        data = self.document.data
        for axis, parts, at in zip(self.axes, self.axis_paths, position, strict=True):
            data = _forked(data, parts)
            compose.override(Document(data), axis.path, axis.values[at], None)
        reach = [list(reached(data, path)) for path in self.axis_paths]
        document = replace(self.document, data=data, origins={})
        if spell_out(document):
            raise _Broken
        return _VariantSpec(document, reach)

    def draft(self, section: str, name: str, position: Position, spec: _VariantSpec) -> _Draft:
        """An entry of a variant. Raises `_Broken`."""
        known = self.drafts.setdefault((section, name), {})
        for axes, drafts in known.items():
            if found := drafts.get(tuple(position[axis] for axis in sorted(axes))):
                return found
        entry = _Entry(self, spec.document)
        node = entry.compiled(section, name)
        if node is None:
            raise _Broken
        axes = frozenset(
            axis
            for axis, paths in enumerate(spec.reach)
            if any(_overlap(path, read) for path in paths for read in entry.read)
        )
        types = [(value, reference.types) for _, reference, value in marked(type(node.config), node.config, Reference)]
        found = _Draft(node, axes, types)
        known.setdefault(axes, {})[tuple(position[axis] for axis in sorted(axes))] = found
        return found

    def add(self, draft: _Draft, position: Position, reads: Mapping[str, str]) -> str:
        """Add the node of a draft with these inputs, unless it exists; returns its name in the graph."""
        touched = draft.axes.union(*(self.touched[name] for name in reads.values()))
        settings = [f"{self.axes[axis].name}={self.axes[axis].labels[position[axis]]}" for axis in sorted(touched)]
        name = f"{draft.node.name}[{','.join(settings)}]" if settings else draft.node.name
        if name not in self.nodes:
            moved: dict[KeyPath, KeyPath] = {
                self.axis_paths[axis]: self._source(axis, position[axis]) for axis in touched
            }
            assert isinstance(draft.node.locate, Origins)
            locate = replace(draft.node.locate, moved=moved)
            self.nodes[name] = replace(draft.node, name=name, reads=reads, locate=locate)
            self.touched[name] = touched
        return name

    def _source(self, axis: int, at: int) -> KeyPath:
        """Path of an axis value in the sweep."""
        return ("sweeps", self.name, "axes", self.axes[axis].path, at)

    def errors(self, position: Position) -> list[Diagnostic]:
        """The errors of a variant, compiled as a spec of its own; their places are in the sweep."""
        tables = {name: dict(getattr(self.document, name)) for name in ("places", "key_places")}
        document = replace(self.document, data=copy.deepcopy(self.document.data), origins={}, **tables)
        try:
            for number, at in enumerate(position):
                source = self._source(number, at)
                place = self.document.place(source[:-1], key=True)
                compose.override(document, self.axes[number].path, self.axes[number].values[at], place, source)
            compiled = compile_document(document, self.path)
        except UserError as error:
            return error.diagnostics
        path, compare = ("sweeps", self.name, "compare"), self.sweep.compare
        remedy = near(compare or "", compiled.nodes)
        return [
            self.document.diagnose("E120", path, f"'{compare}' is not defined, but {dotted(path)} refers to it", remedy)
        ]

    def _check_axes(self, targets: list[str]) -> None:
        """Check that every axis has an effect. Raises `UserError` E161, or the errors of the values of the axis."""
        used = {axis for name in targets for axis in self.touched[name]}
        baseline = self.sweep.baseline_position()
        for number in sorted(set(range(len(self.axes))) - used):
            axis = self.axes[number]
            for at in range(min(len(axis.values), _MOST_FAILURES)):
                position = (*baseline[:number], at, *baseline[number + 1 :])
                if found := [error for error in self.errors(position) if error.code != "E120"]:
                    raise UserError(*found)
            wanted = f"'{self.sweep.compare}' needs" if self.sweep.compare else "the stages need"
            path = ("sweeps", self.name, "axes", axis.path)
            cause = f"the axis '{axis.path}' changes nothing that {wanted}"
            raise UserError(self.document.diagnose("E161", path, cause, "remove it or fix its path", key=True))


class _Linking:
    """Finds the nodes of one variant, from its targets to their inputs."""

    def __init__(self, expansion: _Expansion, position: Position):
        self.expansion, self.position = expansion, position
        self.spec = expansion.spec(position)
        data = self.spec.document.data
        self.sections = {
            str(name): section
            for section in NODE_SECTIONS
            if section != "publish"  # all variants would publish to the same place
            for name in data.get(section) or {}
        }
        self.nodes: dict[str, str] = {}
        """Name in the spec to the node in the graph."""
        compare = expansion.sweep.compare
        wanted = [compare] if compare else [name for name, section in self.sections.items() if section == "stages"]
        self.targets = [self.node(name) for name in wanted]

    def node(self, name: str) -> str:
        """The node for a name, after adding its inputs. Raises `_Broken`."""
        stack, begun = [name], set()
        while stack:
            current = stack[-1]
            if current in self.nodes:
                stack.pop()
                continue
            if current not in self.sections:
                raise _Broken
            draft = self.expansion.draft(self.sections[current], current, self.position, self.spec)
            missing = [read for read in draft.node.reads if read not in self.nodes]
            if begun & {*missing}:
                raise _Broken  # a cycle
            if missing:
                begun.add(current)
                stack += missing
            else:
                self.nodes[current] = self._linked(draft)
                begun.discard(current)
        return self.nodes[name]

    def _linked(self, draft: _Draft) -> str:
        """Add the node of a draft, whose inputs exist. Raises `_Broken`."""
        reads = {read: self.nodes[read] for read in draft.node.reads}
        for read, types in draft.types:
            if self.expansion.nodes[reads[read]].output not in types:
                raise _Broken
        return self.expansion.add(draft, self.position, reads)


class _Entry(Compiler):
    """Compiles one entry of a variant and records which parts of the spec it reads."""

    def __init__(self, expansion: _Expansion, document: Document):
        super().__init__(replace(document, origins={}), expansion.path, [])
        self.templates = expansion.templates
        self.definitions = {s: _Definitions(self, s) for s in DEFINITION_SECTIONS}
        self.read: set[KeyPath] = set()

    def compiled(self, section: str, name: str) -> GraphNode | None:
        self.add_node(section, name, self.interpolated(section, name))
        return None if self.errors else self.nodes.get(name)

    def interpolated(self, section: str, name: str) -> Any:
        """The value of an entry with `${...}` resolved."""
        self.read.add((section, name))
        resolver = _Recording(self.document, self.read)
        value = resolver.resolve((self.document.data.get(section) or {}).get(name), (section, name))
        self.errors += resolver.errors
        return value

    def named_template(self, name: str) -> Any:
        return self.interpolated("templates", name)


class _Definitions(Mapping):
    """The definitions of a section, each checked on access."""

    def __init__(self, entry: _Entry, section: str):
        self.entry, self.section = entry, section
        self.raw = entry.document.data.get(section) or {}

    def __getitem__(self, name: str) -> Any:
        value = self.entry.interpolated(self.section, name)
        if name not in self.raw:
            raise KeyError(name)
        return self.entry.definition(self.section, name, value)

    def __contains__(self, name: object) -> bool:
        return name in self.raw

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)


class _Recording(compose.Interpolation):
    """Interpolation that records every path that a `${...}` refers to."""

    def __init__(self, document: Document, read: set[KeyPath]):
        super().__init__(document)
        self.read = read

    def _look_up(self, name: str, path: KeyPath, trail: tuple[KeyPath, ...]) -> Any:
        self.read.add(tuple(name.strip().split(".")))
        return super()._look_up(name, path, trail)


def _overlap(one: KeyPath, other: KeyPath) -> bool:
    """Whether the paths are equal or one is a prefix of the other."""
    return all(left == right for left, right in zip(one, other, strict=False))


def _forked(value: Any, path: tuple[str, ...]) -> Any:
    """`value` with copies of the containers along a path, so that the value there can be replaced."""
    if not path or not isinstance(value, dict | list):
        return value
    fork = copy.copy(value)
    key: Any = int(path[0]) if path[0].isdecimal() and (isinstance(fork, list) or path[0] not in fork) else path[0]
    if (key in fork) if isinstance(fork, dict) else (isinstance(key, int) and key < len(fork)):
        fork[key] = _forked(fork[key], path[1:])
    return fork
