"""User code: Python that a spec names as `package.module:Name`, or that another package adds through an entry point.

It is loaded here, and its source counts in keys like any other input. The code of this package counts by versions,
which a test guards (ADR 0015). No test guards a user's, so its text counts: that of the module and of everything it
imports from its own top-level package or, for a module beside the spec, from the spec's folder, directly or indirectly.
Reading it runs none of it, not even the `__init__` of a package.
"""

import ast
from collections.abc import Iterator
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from astro_factory.core import code_folders
from astro_factory.core.canonical import digest, file_digest
from astro_factory.core.errors import UserError

_MAX_FILES = 500
"""Files of a package that are read; a larger package is a library, not user code."""


def import_target(target: str) -> Any:
    """The object that `package.module:Name` names, or the module that `package.module` names.

    Raises whatever the import raises, and AttributeError where the module lacks the name.
    """
    code_folders.install_finder()
    module, _, name = target.partition(":")
    found = import_module(module)
    return getattr(found, name) if name else found


def load_target(target: str, code: str, what: str) -> Any:
    """`import_target` for code of a user.

    Raises:
        UserError: `code`, if the import fails for any reason; `what` names the object, such as `verifier 'mine'`.
    """
    try:
        return import_target(target)
    except Exception as error:
        source = "" if target in what else f" from '{target}'"
        cause = f"{what} cannot be loaded{source} ({type(error).__name__}: {error})"
        remedy = "install its package, fix the error in its code, or correct the name (package.module:Name)"
        raise UserError.of(code, cause, remedy) from error


_digests: dict[tuple[Path, tuple[str, ...]], tuple[list[tuple[Path, int, int]], str]] = {}
"""File of a module and folders of code to its last digest, with path, time and size of each file that was read."""


def code_digest(target: str) -> str:
    """Digest of the source behind `package.module:Name`; empty if there is no source."""
    module = target.partition(":")[0]
    if (source := source_path(module)) is None:
        return ""
    place = (source, code_folders.search_path())
    stamps, known = _digests.get(place, ([], ""))
    if not stamps or stamps != [_stamp(path) for path, _, _ in stamps]:
        files = source_files(module)
        stamps = [_stamp(path) for path in files.values()]
        known = digest({name: file_digest(path) for name, path in files.items()})
        _digests[place] = (stamps, known)
    return known


def _stamp(path: Path) -> tuple[Path, int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return path, 0, 0
    return path, status.st_mtime_ns, status.st_size


def source_files(module: str) -> dict[str, Path]:
    """A module and what it imports from its own top-level package or, beside a spec, from that folder, by name."""
    package = module.partition(".")[0]
    follows_siblings = code_folders.beside_spec(package) is not None
    found: dict[str, Path] = {}
    stack = [module]
    while stack and len(found) < _MAX_FILES:
        name = stack.pop()
        top = name.partition(".")[0]
        counts = top == package or (follows_siblings and code_folders.beside_spec(top) is not None)
        if name not in found and counts and (path := source_path(name)):
            found[name] = path
            stack += sorted(_imports(name, path), reverse=True)
    return dict(sorted(found.items()))


def source_path(module: str) -> Path | None:
    """The source file of a module, found without importing anything; None if there is none."""
    try:
        spec = _find_module(module)
    except (ImportError, ValueError, AttributeError):  # not a dotted name, or a finder of another package fails
        return None
    if spec is None or not isinstance(spec.loader, SourceFileLoader) or not spec.origin:
        return None
    return Path(spec.origin)


def _find_module(module: str) -> ModuleSpec | None:
    """`importlib.util.find_spec`, but without importing the parent packages: a spec under check may name any."""
    top, *rest = module.split(".")
    name, spec = top, find_spec(top) or code_folders.beside_spec(top)
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = code_folders.find_in(name, list(spec.submodule_search_locations))
    return spec


def _imports(module: str, path: Path) -> Iterator[str]:
    """Every name in a module's imports that may be a module, with its parent packages, which Python runs first."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # broken, with null bytes, or nested too deeply
        return
    named = [module]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            dotted = "." * node.level + (node.module or "")
            source = resolve_name(dotted, package) if node.level else dotted
            named += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    for name in named:
        parts = name.split(".")
        yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
