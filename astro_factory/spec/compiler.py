"""From a spec file to a checked graph: every error of the spec at once, nothing run.

graph = compile_spec(Path("specs/quickstart.yaml"), profile="smoke", sets=["params.seed=3"])
"""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from astro_factory.core.annotations import marked, substitute
from astro_factory.core.config import Definition, InputFile, Reference, StageConfig
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.graph import Graph, Node
from astro_factory.core.shipped import shipped_folder
from astro_factory.spec import compose
from astro_factory.spec.checking import near, validate
from astro_factory.spec.reader import Document, Path_
from astro_factory.stages import kinds, load_kind

NODE_SECTIONS = ("models", "problems", "stages", "publish")
DEFINITION_SECTIONS = ("engines", "search_policies", "suites")
OTHER_KEYS = ("factory", "name", "params", "profiles", "imports", "templates")
LANGUAGE = 1


def compile_spec(path: Path, *, sets: Sequence[str] = (), profile: str | None = None) -> Graph:
    """Read, compose, check and link a spec. Raises `UserError` with everything that is wrong."""
    document = compose.load(path)
    if profile:
        compose.apply_profile(document, profile)
    compose.apply_sets(document, sets)
    compose.interpolate(document)
    return _Compiler(document, path.resolve().parent).graph(path)


class _Compiler:
    def __init__(self, document: Document, folder: Path):
        self.document, self.folder = document, folder
        self.errors: list[Diagnostic] = []
        self.definitions: dict[str, dict[str, Any]] = {}
        self.used: set[tuple[str, str]] = set()
        self.nodes: dict[str, Node] = {}

    def graph(self, path: Path) -> Graph:
        data = self.document.data
        self._check_top(data)
        for section in DEFINITION_SECTIONS:
            self.definitions[section] = self._definitions(section)
        for section in NODE_SECTIONS:
            for name, raw in self._entries(section):
                self._add_node(section, str(name), raw)
        self._check_references()
        order = self._order()
        if self.errors:
            raise UserError(*self.errors)
        source = {key: value for key, value in data.items() if key != "profiles"}
        imports = tuple(str(self.folder / name) for name in data.get("imports") or [])
        nodes = {name: self.nodes[name] for name in order}
        lock = str(path.with_suffix(path.suffix + ".lock"))
        return Graph(str(data["name"]), nodes, source, imports, lock, self._unused())

    def _check_top(self, data: dict) -> None:
        known = (*OTHER_KEYS, "include", *DEFINITION_SECTIONS, *NODE_SECTIONS)
        for key in data:
            if key not in known:
                self._error("E104", (key,), f"unknown key '{key}' in the spec", near(key, known), key=True)
        if data.get("factory") != LANGUAGE:
            cause = f"`factory` must be {LANGUAGE}, the version of the language"
            self._error("E118", ("factory",), cause, f"begin with `factory: {LANGUAGE}`")
        if not isinstance(data.get("name"), str) or not data.get("name"):
            self._error("E113", ("name",), "the spec lacks a `name`", "add `name: …`")
        for index, name in enumerate(data.get("imports") or []):
            if not (self.folder / str(name)).is_file():
                self._error("E101", ("imports", index), f"there is no store export '{name}' beside the spec")

    def _error(self, code: str, path: Path_, cause: str, remedy: str = "", *, key: bool = False) -> None:
        self.errors.append(self.document.diagnose(code, path, cause, remedy, key=key))

    def _entries(self, section: str) -> list[tuple[str, Any]]:
        entries = self.document.data.get(section) or {}
        if not isinstance(entries, dict):
            self._error("E115", (section,), f"{section} is a mapping of names", f"write `{section}: {{name: …}}`")
            return []
        return list(entries.items())

    def _definitions(self, section: str) -> dict[str, Any]:
        return {
            str(name): validate(self.document, (section, name), _definition_type(section), raw, self.errors)
            for name, raw in self._entries(section)
        }

    def _resolve(self, definition: Definition, name: str, path: Path_) -> Any:
        """The value a name stands for; a template's name or path becomes its sources."""
        if definition.section == "templates":
            return self._template(name, path)
        self.used.add((definition.section, name))
        table = self.definitions[definition.section]
        if name not in table:
            remedy = near(name, table) or f"define it under `{definition.section}:`"
            self._error("E120", path, f"'{name}' is not defined in {definition.section}", remedy)
        return table.get(name)

    def _template(self, name: str, path: Path_) -> Any:
        from astro_factory.traces.templating import compile_template

        named = self.document.data.get("templates") or {}
        if name in named:
            self.used.add(("templates", name))
            path = ("templates", name)
        try:
            return compile_template(str(named.get(name, name)), self._template_folders())
        except UserError as error:
            for found in error.diagnostics:
                if found.place is None:
                    found = self.document.diagnose(found.code, path, found.cause, found.remedy)
                if found not in self.errors:
                    self.errors.append(found)
        return None

    def _template_folders(self) -> list[Path]:
        """`templates/` beside the folder of specs or beside the spec, then those that come with the package."""
        return [self.folder.parent / "templates", self.folder / "templates", self.folder, shipped_folder("templates")]

    def _add_node(self, section: str, name: str, raw: Any) -> None:
        path: Path_ = (section, name)
        if not isinstance(raw, dict):
            self._error("E115", path, f"{section}.{name} is a mapping", "give it a `kind` and its fields")
            return
        if section == "publish":
            raw, name = {"kind": "publish", **raw}, f"publish.{name}"
        kind = raw.get("kind")
        module = load_kind(section, kind) if isinstance(kind, str) else None
        if module is None:
            cause = f"{section}.{name} is of no known kind '{kind}'" if kind else f"{section}.{name} has no `kind`"
            self._error("E114", (*path, "kind"), cause, near(kind, kinds(section)))
            return
        if name in self.nodes:
            self._error("E119", path, f"'{name}' is also a name in {self.nodes[name].section}", "rename one", key=True)
            return
        before = len(self.errors)
        filled = substitute(module.Config, raw, path, self._resolve)
        if len(self.errors) > before:
            filled = _without_unresolved(filled)
        config = validate(self.document, path, module.Config, filled, found := [])
        unresolved = {error.place for error in self.errors[before:]}
        self.errors += [error for error in found if len(self.errors) == before or error.place not in unresolved]
        if config is None or len(self.errors) > before:
            return
        files = self._files(config, path)
        if check := getattr(module, "check", None):
            for problem in check(config, files):
                self._error(problem.code, path, problem.cause, problem.remedy, key=True)
        self.nodes[name] = Node(
            name=name,
            section=section,
            kind=str(kind),
            module=module.__name__,
            config=config,
            output=module.OUTPUT,
            version=module.VERSION,
            heavy=module.HEAVY,
            references=tuple(dict.fromkeys(value for _, _, value in marked(type(config), config, Reference))),
            files=files,
            place=self.document.place(path, key=True),
        )

    def _files(self, config: StageConfig, path: Path_) -> dict[str, str]:
        files = {}
        for where, _, value in marked(type(config), config, InputFile):
            target = self.folder / value
            if not target.exists():
                remedy = "paths are relative to the spec's folder"
                self._error("E101", (*path, *where), f"there is no '{value}'", remedy)
            files[value] = str(target)
        return files

    def _check_references(self) -> None:
        broken = {str(name) for section in NODE_SECTIONS for name, _ in self._entries(section)} - set(self.nodes)
        for node in self.nodes.values():
            base = (node.section, node.name.removeprefix("publish."))
            for where, reference, name in marked(type(node.config), node.config, Reference):
                path = (*base, *where)
                if name in broken:
                    continue
                if name not in self.nodes:
                    fitting = [n.name for n in self.nodes.values() if n.output in reference.types]
                    cause = f"'{name}' is not defined, but {_dotted(path)} names it"
                    self._error("E120", path, cause, near(name, fitting))
                elif self.nodes[name].output not in reference.types:
                    wanted = " or ".join(reference.types)
                    cause = f"{_dotted(path)} needs {wanted}, but '{name}' gives {self.nodes[name].output}"
                    fitting = [n.name for n in self.nodes.values() if n.output in reference.types]
                    self._error("E121", path, cause, near("", fitting))

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

    def _unused(self) -> tuple[str, ...]:
        sections = (*DEFINITION_SECTIONS, "templates")
        return tuple(
            f"{section}.{name} is never used"
            for section in sections
            for name, _ in self._entries(section)
            if (section, str(name)) not in self.used
        )


def _definition_type(section: str) -> Any:
    if section == "engines":
        from astro_factory.engines.config import EngineConfig

        return EngineConfig
    if section == "search_policies":
        from astro_factory.search.config import PolicyConfig

        return PolicyConfig
    from astro_factory.evaluation.suite import Suite

    return Annotated[Suite, Field()]


def _without_unresolved(value: Any) -> Any:
    """`value` without the Nones that stand for definitions which failed; their errors are known already."""
    if isinstance(value, dict):
        return {key: _without_unresolved(item) for key, item in value.items() if item is not None}
    return value


def _dotted(path: Path_) -> str:
    return ".".join(map(str, path))
