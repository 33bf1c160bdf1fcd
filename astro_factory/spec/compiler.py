"""From a spec file to a checked graph: every error of the spec at once, nothing run.

graph = compile_spec(Path("specs/quickstart.yaml"), profile="smoke", sets=["params.seed=3"])
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from astro_factory.core.annotations import marked, substitute
from astro_factory.core.config import Definition, InputFile, Reference, StageConfig
from astro_factory.core.errors import Diagnostic, UserError, near, shown
from astro_factory.core.files import kind_of
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.shipped import shipped_folder
from astro_factory.spec import compose
from astro_factory.spec.checking import dotted, pointed, validate
from astro_factory.spec.likeness import spell_out
from astro_factory.spec.origins import Origins
from astro_factory.spec.reader import UNRESOLVED, Document, KeyPath, in_reading_order
from astro_factory.spec.sections import DEFINITION_SECTIONS, LANGUAGE, NODE_SECTIONS, OTHER_KEYS, definition_type
from astro_factory.stages import REGISTRIES, StageKind, load_kind

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def compile_spec(
    path: Path, *, sets: Sequence[str] = (), profile: str | None = None, sweep: str | None = None
) -> Graph:
    """Read, compose, check and link a spec, or all variants of one of its sweeps.

    Raises `UserError` with everything that is wrong.
    """
    document = compose.load(path)
    overrides = [(compose.apply_profile, profile)] if profile else []
    for override, said in (*overrides, *((compose.apply_set, assignment) for assignment in sets)):
        try:
            override(document, said)
        except UserError as error:
            document.errors += error.diagnostics
    if sweep:
        from astro_factory.spec.variants import expand

        return expand(document, path, sweep)
    return compile_document(document, path)


def compile_document(document: Document, path: Path) -> Graph:
    """`compile_spec` from where includes, profile and overrides are in."""
    errors = [*document.errors, *spell_out(document), *compose.interpolate(document)]
    return Compiler(document, path.resolve().parent, errors).graph(path)


class Compiler:
    """Checks what one document says and makes its nodes; all that is wrong is in `errors`."""

    def __init__(self, document: Document, folder: Path, errors: list[Diagnostic]):
        self.document, self.folder, self.errors = document, folder, errors
        self.definitions: dict[str, dict[str, Any]] = {}
        self.written: dict[KeyPath, KeyPath] = {}
        """Where a name stands to where its value is written."""
        self.templates: dict[tuple[str, str], Any] = {}
        """What it is for and path to sources, of the sound ones."""
        self.used: set[tuple[str, str]] = set()
        self.ambiguous: set[str] = set()
        """Names that stand in two sections."""
        self.nodes: dict[str, GraphNode] = {}

    def graph(self, path: Path) -> Graph:
        data = self.document.data
        self._check_top(data)
        for section in DEFINITION_SECTIONS:
            self.definitions[section] = self._definitions(section)
        for section in NODE_SECTIONS:
            for name, raw in self._entries(section):
                self.add_node(section, str(name), raw)
        self._check_references()
        self._check_set_params()
        order = self._order()
        if self.errors:
            raise UserError(*in_reading_order(self.errors, shown(path)))
        source = {key: value for key, value in data.items() if key not in compose.APART}
        imports = tuple(str(self.folder / name) for name in self._top("imports") or ())
        nodes = {name: self.nodes[name] for name in order}
        lock = str(path.with_suffix(path.suffix + ".lock"))
        sweeps = tuple(self._top("sweeps") or ())
        graph = Graph(
            str(data["name"]), nodes, source, imports, lock, strict=self._top("env") == "strict", sweeps=sweeps
        )
        return replace(graph, warnings=self._warnings(shown(path), graph.wanted()))

    def _top(self, key: str) -> Any:
        """The value of a top-level key, or None where it is missing or not of its form."""
        value = self.document.data.get(key)
        return None if value is None else validate(self.document, (key,), OTHER_KEYS[key], value, [])

    def _check_top(self, data: dict) -> None:
        known = (*OTHER_KEYS, "include", *DEFINITION_SECTIONS, *NODE_SECTIONS)
        for key, value in data.items():
            if key not in known:
                self._error("E104", (key,), f"unknown key '{key}' in the spec", near(key, known), key=True)
            elif value is UNRESOLVED:
                continue
            elif key in DEFINITION_SECTIONS + NODE_SECTIONS and not isinstance(value, dict | None):
                self._error("E115", (key,), f"{key} is a mapping of names", f"write `{key}: {{NAME: {{kind: …}}}}`")
            elif key in OTHER_KEYS and value is not None:
                validate(self.document, (key,), OTHER_KEYS[key], value, self.errors)
        if data.get("factory") not in (LANGUAGE, UNRESOLVED):
            cause = f"`factory` must be {LANGUAGE}, the version of the language"
            self._error("E118", ("factory",), cause, f"begin with `factory: {LANGUAGE}`")
        if "name" not in data:
            self._error("E113", ("name",), "the spec lacks a `name`", "add `name: …`")
        elif data["name"] is not UNRESOLVED and not _NAME.fullmatch(str(data["name"])):
            self._error("E117", ("name",), f"'{data['name']}' cannot name a spec", "use letters, digits and _ . -")
        for index, name in enumerate(self._top("imports") or ()):
            if kind_of(self.folder / name) != "file":
                remedy = "paths are relative to the spec's folder"
                self._error("E101", ("imports", index), f"there is no store export '{name}'", remedy)

    def _error(self, code: str, path: KeyPath, cause: str, remedy: str = "", *, key: bool = False) -> None:
        self.errors.append(self.document.diagnose(code, path, cause, remedy, key=key))

    def _source(self, path: KeyPath) -> KeyPath:
        """Where the value at a path is written, if a name stands in its place."""
        for size in range(len(path) - 1, 0, -1):
            if path[:size] in self.written:
                return (*self.written[path[:size]], *path[size:])
        return path

    def _entries(self, section: str) -> list[tuple[str, Any]]:
        entries = self.document.data.get(section)
        return list(entries.items()) if isinstance(entries, dict) else []

    def _definitions(self, section: str) -> dict[str, Any]:
        return {str(name): self.definition(section, name, raw) for name, raw in self._entries(section)}

    def definition(self, section: str, name: str, raw: Any) -> Any:
        """The value of a definition, or `UNRESOLVED`."""
        kind, path = definition_type(section), (section, name)
        value = validate(self.document, path, kind, substitute(kind, raw, path, self._resolve), self.errors)
        return UNRESOLVED if value is None else value

    def _resolve(self, definition: Definition, name: str, path: KeyPath) -> Any:
        """The value a name stands for, or `UNRESOLVED`; a template's name or path becomes its sources."""
        if definition.section == "templates":
            return self._template(name, path, definition.form)
        self.used.add((definition.section, name))
        self.written[path] = (definition.section, name)
        table = self.definitions[definition.section]
        if name not in table:
            remedy = near(name, table) or f"define it under `{definition.section}:`"
            self._error("E120", path, f"'{name}' is not defined in {definition.section}", remedy)
        return table.get(name, UNRESOLVED)

    def _template(self, name: str, path: KeyPath, form: str) -> Any:
        from astro_factory.traces.template_loader import compile_template

        entry = self.named_template(name)
        if entry is None:
            entry = name
        else:
            self.used.add(("templates", name))
            path = ("templates", name)
        if (form, entry) in self.templates:
            return self.templates[form, entry]
        try:
            self.templates[form, entry] = compile_template(entry, self._template_folders(entry), form)
            return self.templates[form, entry]
        except UserError as error:
            for found in error.diagnostics:
                if found.place is None:
                    found = self.document.diagnose(found.code, path, found.cause, found.remedy)
                self.errors.append(found)
        return UNRESOLVED

    def named_template(self, name: str) -> Any:
        """What `templates:` says of a name, or None."""
        return (self._top("templates") or {}).get(name)

    def _template_folders(self, entry: str) -> list[Path]:
        """`templates/` beside the folder of specs or beside the spec, the spec's own, then those of the package."""
        own = [self.folder] if kind_of(self.folder / entry) == "file" else []
        return [self.folder.parent / "templates", self.folder / "templates", *own, shipped_folder("templates")]

    def add_node(self, section: str, name: str, raw: Any) -> None:
        """Check an entry of a section and make its node, if it is sound."""
        path: KeyPath = (section, name)
        if raw is UNRESOLVED or (isinstance(raw, dict) and raw.get("kind") is UNRESOLVED):
            return
        if not isinstance(raw, dict):
            self._error("E115", path, f"{section}.{name} is a mapping", "give it a `kind` and its fields")
            return
        if section == "publish":
            raw, name = {"kind": "publish", **raw}, f"publish.{name}"
        kind = raw.get("kind")
        if kind is not None and not isinstance(kind, str):
            validate(self.document, (*path, "kind"), str, kind, self.errors)
            return
        stage_kind = self._kind(section, name, kind, path)
        if stage_kind is None:
            return
        if name in self.nodes:
            other = self.nodes[name]
            self.ambiguous.add(name)
            cause = f"'{name}' is also a name in {other.section} ({other.place})"
            self._error("E119", path, cause, "rename one", key=True)
            return
        if not _NAME.fullmatch(name.removeprefix("publish.")):
            cause = f"'{path[1]}' cannot name an entry of {section}"
            self._error("E117", path, cause, "use letters, digits and _ . -", key=True)
            return
        filled = substitute(stage_kind.Config, raw, path, self._resolve)
        config = validate(self.document, path, stage_kind.Config, filled, self.errors)
        if config is None:
            return
        files = self._files(config, path)
        if None not in files.values():
            for found in stage_kind.check(config, files):
                if found.place is None:
                    here = (*path, *pointed(raw, found.cause))
                    found = self.document.diagnose(found.code, here, found.cause, found.remedy, key=here == path)
                self.errors.append(found)
        self.nodes[name] = GraphNode(
            name=name,
            section=section,
            kind=str(kind),
            module=stage_kind.module,
            config=config,
            output=stage_kind.OUTPUT,
            version=stage_kind.VERSION,
            heavy=stage_kind.HEAVY,
            reads={value: value for _, _, value in marked(type(config), config, Reference)},
            files=files,
            place=self.document.place(path, key=True),
            locate=Origins(self.document, path, self.written),
        )

    def _kind(self, section: str, name: str, kind: str | None, path: KeyPath) -> StageKind | None:
        """The kind of an entry; None, with a diagnostic, if there is no such kind or it cannot be loaded."""
        try:
            found = load_kind(section, kind) if kind else None
        except UserError as error:
            for fault in error.diagnostics:
                self._error(fault.code, (*path, "kind"), fault.cause, fault.remedy)
            return None
        if found is None:
            cause = f"{section}.{name} is of no known kind '{kind}'" if kind else f"{section}.{name} has no `kind`"
            self._error("E114", (*path, "kind"), cause, near(kind or "", REGISTRIES[section].names()))
        return found

    def _files(self, config: StageConfig, path: KeyPath) -> dict[str, str | None]:
        """The paths that a config names to where they are; None where there is not what it takes."""
        files: dict[str, str | None] = {}
        for where, marker, value in marked(type(config), config, InputFile):
            target, wanted = self.folder / value, "folder" if marker.folder else "file"
            found = kind_of(target)
            if found is None:
                remedy = "paths are relative to the spec's folder"
                self._error("E101", (*path, *where), f"there is no '{value}'", remedy)
            elif found != wanted:
                self._error("E101", (*path, *where), f"'{value}' is a {found}", f"name a {wanted}")
            files[value] = str(target) if found == wanted else None
        return files

    def _check_references(self) -> None:
        broken = {str(name) for section in NODE_SECTIONS for name, _ in self._entries(section)} - set(self.nodes)
        values = {(node.section, node.name.removeprefix("publish.")): node.config for node in self.nodes.values()}
        for section, definitions in self.definitions.items():
            values |= {(section, name): value for name, value in definitions.items() if value is not UNRESOLVED}
        for base, value in values.items():
            for where, reference, name in marked(type(value), value, Reference):
                if name in broken | self.ambiguous:
                    continue
                path = self._source((*base, *where))
                fitting = [n.name for n in self.nodes.values() if n.output in reference.types and n.name != base[1]]
                wanted = " or ".join(reference.types)
                if name not in self.nodes:
                    cause = f"'{name}' is not defined, but {dotted(path)} names it"
                    self._error("E120", path, cause, near(name, fitting) or f"define an entry that gives {wanted}")
                elif self.nodes[name].output not in reference.types:
                    cause = f"{dotted(path)} needs {wanted}, but '{name}' gives {self.nodes[name].output}"
                    self._error("E121", path, cause, near("", fitting) or f"define an entry that gives {wanted}")

    def _check_set_params(self) -> None:
        """A parameter set on the command line that nothing reads is a slip, which would change nothing."""
        params = self._top("params") or {}
        for name in params:
            place = self.document.place(("params", name))
            if name not in self.document.params_read and place and not place.line:
                read = [f"params.{other}" for other in self.document.params_read & params.keys()]
                remedy = near(f"params.{name}", read) or "set a value of the spec"
                self._error("E110", ("params", name), f"nothing in the spec reads params.{name}", remedy)

    def _order(self) -> list[str]:
        known = {name: [r for r in node.references if r in self.nodes] for name, node in self.nodes.items()}
        try:
            return list(TopologicalSorter(known).static_order())
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            node = self.nodes[circle[0]]
            cause = f"these need each other: {' -> '.join(circle)}"
            self._error("E122", (node.section, node.name), cause, "break the circle", key=True)
            return []

    def _swept(self) -> list[Any]:
        """The values that sweeps put in: a name among them is used by some variant."""
        sweeps = [sweep for _, sweep in self._entries("sweeps") if isinstance(sweep, dict)]
        axes = [axes for sweep in sweeps if isinstance(axes := sweep.get("axes"), dict)]
        return [value for axis in axes for values in axis.values() if isinstance(values, list) for value in values]

    def _warnings(self, main: str, wanted: Collection[str]) -> tuple[Diagnostic, ...]:
        """What the spec itself says to no effect; an include may offer more than one takes."""
        found = []

        def warn(code: str, path: KeyPath, cause: str, remedy: str) -> None:
            if (place := self.document.place(path, key=True)) and place.file == main:
                found.append(self.document.diagnose(code, path, cause, remedy, key=True))

        swept, bases = self._swept(), {source[:2] for source in self.document.likes.values()}
        for section in (*DEFINITION_SECTIONS, "templates"):
            for name, _ in self._entries(section):
                if (section, str(name)) not in self.used and name not in swept and (section, name) not in bases:
                    warn("W101", (section, name), f"{section}.{name} is never used", "remove it, or name it in a stage")
        for name in self.nodes.keys() - wanted:
            section = self.nodes[name].section
            if (section, name) in bases:
                continue
            warn("W102", (section, name), f"no stage needs {section}.{name}", "remove it, or name it in a stage")
        for name in self._top("params") or ():
            if name not in self.document.params_read:
                remedy = f"write ${{params.{name}}} where it acts"
                warn("W103", ("params", name), f"nothing reads params.{name}", remedy)
        return tuple(in_reading_order(found, main))
