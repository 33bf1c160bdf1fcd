"""Code of one's own that a spec names as `package.module:attribute`, as a digest: it counts like any other input.

Our own code counts by versions, which a test guards (ADR 0015). Nobody guards a user's, so its text counts: that of the
module and of all that it imports from its own package, directly or through one another.
"""

import ast
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, resolve_name
from pathlib import Path

from astro_factory.core.canonical import digest, file_digest

_ENOUGH = 500
"""Files of a package after which it is not code of one's own any more, but a library."""


def code_digest(target: str) -> str:
    """Digest of the code behind `package.module:attribute`; empty where there is none to be found."""
    files = source_files(target.partition(":")[0])
    return digest({name: file_digest(path) for name, path in files.items()}) if files else ""


def source_files(module: str) -> dict[str, Path]:
    """A module and what it imports of its own top-level package, by name; nothing of it is run but package inits."""
    package = module.partition(".")[0]
    found: dict[str, Path] = {}
    stack = [module]
    while stack and len(found) < _ENOUGH:
        name = stack.pop()
        if name not in found and name.partition(".")[0] == package and (path := _path(name)):
            found[name] = path
            stack += sorted(_imports(name, path), reverse=True)
    return dict(sorted(found.items()))


def _path(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError, AttributeError):  # a parent is missing, or is no package
        return None
    is_source = spec is not None and isinstance(spec.loader, SourceFileLoader)
    return Path(spec.origin) if is_source and spec.origin else None


def _imports(module: str, path: Path) -> Iterator[str]:
    """Whatever in a module's text may be the name of another, parents included, which Python runs first."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return
    named = [module]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
            named += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    for name in named:
        parts = name.split(".")
        yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
