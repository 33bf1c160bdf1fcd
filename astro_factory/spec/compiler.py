"""Compiles a spec file to a checked graph. Reports all errors of the spec at once and runs nothing.

graph = compile_spec(Path("specs/quickstart.yaml"), profile="smoke", sets=["params.seed=3"])
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from astro_factory.core.annotations import marked, substitute
from astro_factory.core.code_folders import folders_of, looking_in
from astro_factory.core.config import Definition, InputFile, Reference, StageConfig
from astro_factory.core.errors import Diagnostic, UserError, near, shown
from astro_factory.core.files import kind_of
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.tracking import Tracker
from astro_factory.spec import compose
from astro_factory.spec.checking import dotted, pointed, validate
from astro_factory.spec.likeness import spell_out
from astro_factory.spec.named_code import named_code
from astro_factory.spec.origins import Origins
from astro_factory.spec.reader import UNRESOLVED, Document, KeyPath, in_reading_order
from astro_factory.spec.sections import DEFINITION_SECTIONS, LANGUAGE, NODE_SECTIONS, OTHER_KEYS, definition_type
from astro_factory.spec.sweeps import strings_in
from astro_factory.stages import REGISTRIES, StageKind, load_kind

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}")
"""A name becomes part of file names, which have at most 255 bytes."""
_NAME_RULE = "use at most 120 letters, digits and _ . -"


def compile_spec(
    path: Path, *, sets: Sequence[str] = (), profile: str | None = None, sweep: str | None = None
) -> Graph:
    """Read, compose, check and link a spec, or all variants of one of its sweeps.

    Raises `UserError` with all errors of the spec.
    """
    document = compose.load(path)
    overrides = [(compose.apply_profile, profile)] if profile else []
    for override, argument in (*overrides, *((compose.apply_set, assignment) for assignment in sets)):
        try:
            override(document, argument)
        except UserError as error:
            document.errors += error.diagnostics
    with looking_in(folders_of(path.resolve().parent)):
        if sweep:
            from astro_factory.spec.variants import expand

            return expand(document, path, sweep)
        return compile_document(document, path)


def compile_document(document: Document, path: Path) -> Graph:
    """`compile_spec` for a document whose includes, profile and overrides are already applied, inside `looking_in`."""
    errors = [*document.errors, *spell_out(document), *compose.interpolate(document)]
    return Compiler(document, path, errors).graph(path)


class Compiler:
    """Checks one document and creates its nodes; collects `errors`."""

    def __init__(self, document: Document, path: Path, errors: list[Diagnostic]):
        self.document, self.path, self.folder, self.errors = document, path, path.resolve().parent, errors
        self.cautions: list[Diagnostic] = []
        """Warnings of the stage kinds."""
        self.definitions: Mapping[str, Mapping[str, Any]] = {}
        """The values of each section of definitions."""
        self.written: dict[KeyPath, KeyPath] = {}
        """Path of a name to the path of the definition it refers to."""
        self.templates: dict[tuple[str, str], Any] = {}
        """Use and path of each valid template to its sources."""
        self.used: set[tuple[str, str]] = set()
        """Section and name of each definition that something refers to."""
        self.ambiguous: set[str] = set()
        """Names that occur in two sections."""
        self.nodes: dict[str, GraphNode] = {}

    def graph(self, path: Path) -> Graph:
        data = self.document.data
        self._check_top(data)
        self.definitions = definitions = {}
        for section in DEFINITION_SECTIONS:
            definitions[section] = self._definitions(section)
        for section in NODE_SECTIONS:
            for name, raw in self._entries(section):
                self.add_node(section, str(name), raw)
        self._check_unused_templates()
        self._check_references()
        self._check_set_params()
        order = self._order()
        if self.errors:
            raise UserError(*in_reading_order(self.errors, shown(path)))
        source = {str(key): value for key, value in data.items() if key not in compose.APART}
        imports = tuple(str(self.folder / name) for name in self._top("imports") or ())
        nodes = {name: self.nodes[name] for name in order}
        lock = str(path.with_suffix(path.suffix + ".lock"))
        sweeps = tuple(self._top("sweeps") or ())
        graph = Graph(
            str(data["name"]),
            nodes,
            source,
            imports,
            lock,
            strict=self._top("env") == "strict",
            sweeps=sweeps,
            track=self._tracker(),
        )
        return replace(graph, warnings=self._warnings(shown(path), graph))

    def _top(self, key: str) -> Any:
        """The value of a top-level key, or None if it is missing or invalid."""
        value = self.document.data.get(key)
        return None if value is None else validate(self.document, (key,), OTHER_KEYS[key], value, [])

    def _tracker(self) -> Tracker | None:
        """The experiment tracker, with its folder as a path on this machine; warns if its package is missing."""
        track: Tracker | None = self._top("track")
        if track is None:
            return None
        if not track.is_installed:
            cause = f"the package '{track.package}' is not installed, so builds are not tracked"
            remedy = "run pip install 'astro-factory[track]'"
            self.cautions.append(self.document.diagnose("W105", ("track", "kind"), cause, remedy))
        folder = getattr(track, "folder", None)
        return track if folder is None else track.model_copy(update={"folder": str(self.folder / folder)})

    def _check_top(self, data: Mapping[Any, Any]) -> None:
        known = (*OTHER_KEYS, "include", *DEFINITION_SECTIONS, *NODE_SECTIONS)
        for key, value in data.items():
            if key not in known:
                self._error("E104", (key,), f"unknown key '{key}' in the spec", near(key, known), key=True)
            elif value is UNRESOLVED:
                continue
            elif key in DEFINITION_SECTIONS + NODE_SECTIONS and not isinstance(value, dict | None):
                self._error(
                    "E115", (key,), f"{key} must be a mapping of names", f"write `{key}: {{NAME: {{kind: …}}}}`"
                )
            elif key in OTHER_KEYS and value is not None:
                validate(self.document, (key,), OTHER_KEYS[key], value, self.errors)
        if data.get("factory") not in (LANGUAGE, UNRESOLVED):
            cause = f"`factory` must be {LANGUAGE}, the version of the language"
            self._error("E118", ("factory",), cause, f"start with `factory: {LANGUAGE}`")
        if "name" not in data:
            self._error("E113", ("name",), "the spec has no `name`", "add `name: …`")
        elif data["name"] is not UNRESOLVED and not _NAME.fullmatch(str(data["name"])):
            self._error("E117", ("name",), f"'{data['name']!s:.121}' is not a valid name for a spec", _NAME_RULE)
        for index, name in enumerate(self._top("imports") or ()):
            if kind_of(self.folder / name) != "file":
                remedy = "paths are relative to the spec's folder"
                self._error("E101", ("imports", index), f"the store export '{name}' does not exist", remedy)

    def _error(self, code: str, path: KeyPath, cause: str, remedy: str = "", *, key: bool = False) -> None:
        self.errors.append(self.document.diagnose(code, path, cause, remedy, key=key))

    def _source(self, path: KeyPath) -> KeyPath:
        """Where the value at a path is written, following the names of definitions."""
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
        """The value of a definition's name, or `UNRESOLVED`; the name or path of a template becomes its sources."""
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
        """The entry of `templates:` with this name, or None."""
        return (self._top("templates") or {}).get(name)

    def _template_folders(self, entry: str) -> list[Path]:
        """`templates/` next to the folder of the spec, then next to the spec, the spec's own folder, the package's."""
        own = [self.folder] if kind_of(self.folder / entry) == "file" else []
        return [self.folder.parent / "templates", self.folder / "templates", *own, shipped_folder("templates")]

    def add_node(self, section: str, name: str, raw: Any) -> None:
        """Check an entry of a section and, if it is valid, create its node."""
        path: KeyPath = (section, name)
        if raw is UNRESOLVED or (isinstance(raw, dict) and raw.get("kind") is UNRESOLVED):
            return
        if not isinstance(raw, dict):
            self._error("E115", path, f"{section}.{name} must be a mapping", "give it a `kind` and its fields")
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
            cause = f"'{name}' is already the name of an entry of {other.section} ({other.place})"
            self._error("E119", path, cause, "rename one", key=True)
            return
        if not _NAME.fullmatch(name.removeprefix("publish.")):
            cause = f"'{path[1]!s:.121}' is not a valid name for an entry of {section}"
            self._error("E117", path, cause, _NAME_RULE, key=True)
            return
        filled = substitute(stage_kind.Config, raw, path, self._resolve)
        config = validate(self.document, path, stage_kind.Config, filled, self.errors)
        if config is None:
            return
        found_files = self._files(config, path)
        files = {name: target for name, target in found_files.items() if target is not None}
        if files.keys() == found_files.keys():
            for found in stage_kind.check(config, files):
                if found.place is None:
                    at = (*path, *pointed(raw, found.cause))
                    found = self.document.diagnose(found.code, at, found.cause, found.remedy, key=at == path)
                self._report(found)
        locate, faults = Origins(self.document, path, self.written), []
        code = named_code(config, self.path, locate, faults)
        for found in faults:
            self._report(found)
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
            locate=locate,
            code=code,
        )

    def _report(self, found: Diagnostic) -> None:
        (self.cautions if found.code.startswith("W") else self.errors).append(found)

    def _kind(self, section: str, name: str, kind: str | None, path: KeyPath) -> StageKind | None:
        """The kind of an entry; None, with a diagnostic, if there is no such kind or it cannot be loaded."""
        try:
            found = load_kind(section, kind) if kind else None
        except UserError as error:
            for fault in error.diagnostics:
                self._error(fault.code, (*path, "kind"), fault.cause, fault.remedy)
            return None
        if found is None:
            cause = f"{section}.{name} has the unknown kind '{kind}'" if kind else f"{section}.{name} has no `kind`"
            self._error("E114", (*path, "kind"), cause, near(kind or "", REGISTRIES[section].names()))
        return found

    def _files(self, config: StageConfig, path: KeyPath) -> dict[str, str | None]:
        """Map each path in a config to the path on this machine, or to None if it is missing or of the wrong type."""
        files: dict[str, str | None] = {}
        for where, marker, value in marked(type(config), config, InputFile):
            target, wanted = self.folder / value, "folder" if marker.folder else "file"
            found = kind_of(target)
            if found is None:
                remedy = "paths are relative to the spec's folder"
                self._error("E101", (*path, *where), f"'{value}' does not exist", remedy)
            elif found != wanted:
                self._error(
                    "E101", (*path, *where), f"'{value}' is a {found}, not a {wanted}", f"give the path of a {wanted}"
                )
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
                    cause = f"'{name}' is not defined, but {dotted(path)} refers to it"
                    self._error("E120", path, cause, near(name, fitting) or f"define an entry of type {wanted}")
                elif self.nodes[name].output not in reference.types:
                    cause = (
                        f"{dotted(path)} must be of type {wanted}, but '{name}' is of type {self.nodes[name].output}"
                    )
                    self._error("E121", path, cause, near("", fitting) or f"define an entry of type {wanted}")

    def _check_unused_templates(self) -> None:
        """The files of templates that no stage uses; those of used ones are checked with the stage."""
        for name, entry in (self._top("templates") or {}).items():
            if ("templates", name) in self.used:
                continue
            from astro_factory.traces.template_loader import require_template

            try:
                require_template(entry, self._template_folders(entry))
            except UserError as error:
                for found in error.diagnostics:
                    self._error(found.code, ("templates", name), found.cause, found.remedy)

    def _check_set_params(self) -> None:
        """Setting a parameter that nothing reads has no effect, so on the command line it is an error."""
        params = self._top("params") or {}
        for name in params:
            place = self.document.place(("params", name))
            if name not in self.document.params_read and not place.line:
                read = [f"params.{other}" for other in self.document.params_read & params.keys()]
                remedy = near(f"params.{name}", read) or "set another value of the spec"
                self._error("E110", ("params", name), f"nothing in the spec reads params.{name}", remedy)

    def _order(self) -> list[str]:
        known = {name: [r for r in node.references if r in self.nodes] for name, node in self.nodes.items()}
        try:
            return list(TopologicalSorter(known).static_order())
        except CycleError as error:
            cycle = list(reversed(error.args[1]))
            node = self.nodes[cycle[0]]
            cause = f"these entries depend on each other: {' -> '.join(cycle)}"
            self._error("E122", (node.section, node.name), cause, "remove one of these references", key=True)
            return []

    def _swept(self) -> set[str]:
        """The strings among the values of all axes: a name among them is used by some variant."""
        axes = [sweep.get("axes") for _, sweep in self._entries("sweeps") if isinstance(sweep, dict)]
        return set(strings_in(axes))

    def _warnings(self, main: str, graph: Graph) -> tuple[Diagnostic, ...]:
        """Entries of the file `main` that have no effect, and what the kinds warn of. Includes may define more than the
        spec uses."""
        found = []

        def warn(code: str, path: KeyPath, cause: str, remedy: str) -> None:
            if self.document.place(path, key=True).file == main:
                found.append(self.document.diagnose(code, path, cause, remedy, key=True))

        swept, bases = self._swept(), {source[:2] for source in self.document.likes.values()}
        for section in (*DEFINITION_SECTIONS, "templates"):
            for name, _ in self._entries(section):
                if (section, str(name)) not in self.used and name not in swept and (section, name) not in bases:
                    warn("W101", (section, name), f"{section}.{name} is never used", "remove it, or use it in a stage")
        for name in graph.nodes.keys() - graph.closure(graph.wanted() | (graph.nodes.keys() & swept)):
            section = self.nodes[name].section
            if (section, name) in bases:
                continue
            warn("W102", (section, name), f"no stage needs {section}.{name}", "remove it, or use it in a stage")
        for name in self._top("params") or ():
            if name not in self.document.params_read:
                remedy = f"write ${{params.{name}}} where it should apply"
                warn("W103", ("params", name), f"nothing reads params.{name}", remedy)
        return tuple(in_reading_order([*found, *self.cautions], main))
