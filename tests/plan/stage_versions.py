"""The code that each kind of stage stands for, as a digest: who changes it says whether outputs changed.

    python -m tests.plan.stage_versions --update "sampling is faster; the bits are the same"

A kind's code is its module and every module of the package that it imports, directly or through one another, in
functions too; a text that names a module, whole or as an f-string's beginning, counts as an import. Left out are
`OUTSIDE`, what says how a kind is run and checked (`_ASIDE`), docstrings, comments, what errors say and what is told of
progress: none of it can change an output.

If an output may be another for an equal config, move the kind's VERSION, so that keys move. If not, the note says why.
"""

import argparse
import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from astro_factory.stages import KINDS, load_kind

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_suffix(".json")
OUTSIDE = {
    "astro_factory": "holds the release's number",
    "astro_factory.stages": "the table of kinds",
    "astro_factory.stages.base": "the interface of kinds",
    "astro_factory.core.registry": "which kinds there are",
    "astro_factory.core.artifacts": "names of files and types",
    "astro_factory.core.config": "what a config holds is in the record itself",
    "astro_factory.core.context": "what a stage is handed",
    "astro_factory.core.devices": "where something runs",
    "astro_factory.core.errors": "what errors say",
    "astro_factory.core.workload": "what runs would take",
    "astro_factory.core.workers": "processes, whose number is in no key",
}
"""Modules that cannot change an output, and why."""
_ASIDE = {
    "VERSION",
    "check",
    "cores",
    "estimate",
    "gpus",
    "intact",
    "lighter",
    "memory_gb",
    "preflight",
    "requirements",
    "shape",
    "threads",
}
"""Names of a kind's module that are about running it."""
_MODULE = re.compile(r"astro_factory(\.\w+)+")


def kinds() -> dict[str, Any]:
    """`section.kind` to its module."""
    return {f"{section}.{kind}": load_kind(section, kind) for section, table in KINDS.items() for kind in table}


def entries() -> dict[str, dict[str, Any]]:
    """Every kind with the version and the digest of its code as they are now."""
    return {name: {"version": module.VERSION, "digest": digest(module.module)} for name, module in kinds().items()}


def digest(module: str) -> str:
    """Of the code that a kind's module stands for."""
    shapes = {name: _shape(_parsed(name), aside=name == module) for name in sorted(closure(module))}
    return hashlib.sha256(json.dumps(shapes, sort_keys=True).encode()).hexdigest()[:16]


def closure(module: str) -> set[str]:
    """A module and all that it imports of the package, but `OUTSIDE`."""
    found: set[str] = set()
    stack = [module]
    while stack:
        name = stack.pop()
        if name not in found and name not in OUTSIDE:
            found.add(name)
            stack += _imports(name)
    return found


@cache
def _path(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


@cache
def _parsed(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


@cache
def _imports(module: str) -> list[str]:
    return sorted({name for name in _named(_parsed(module)) if _path(name)})


def _named(tree: ast.AST) -> Iterator[str]:
    """Everything in a module that may be the name of another."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (named := _MODULE.match(node.value)):
            yield named[0]
        elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            start = str(node.values[0].value)
            if start.startswith("astro_factory.") and start.endswith("."):
                yield from (f"{start}{path.stem}" for path in ROOT.joinpath(*start.split(".")).glob("*.py"))


def _shape(node: Any, aside: bool = False) -> Any:
    """A syntax tree as plain data, equal under every version of Python."""
    if isinstance(node, list):
        return [_shape(item) for item in node if not _is_silent(item) and not (aside and _names(item) & _ASIDE)]
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Raise):
        return ["Raise"]
    fields = {
        name: shape
        for name in node._fields
        if name not in ("ctx", "kind", "type_comment")
        and (shape := _shape(getattr(node, name, None), aside)) not in ([], "None")
    }
    return [type(node).__name__, fields]


def _is_silent(node: Any) -> bool:
    """Whether a statement is a docstring or tells how far a stage is."""
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    return isinstance(value, ast.Call) and ".events." in ast.unparse(value.func)


def _names(node: Any) -> set[str]:
    """What a statement at the top of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    return {target.id for target in getattr(node, "targets", ()) if isinstance(target, ast.Name)}


def table() -> dict[str, dict[str, Any]]:
    return json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}


def moved() -> list[str]:
    """The kinds whose code is not what the table has."""
    known = table()
    return [name for name, now in entries().items() if {**now} != {k: known.get(name, {}).get(k) for k in now}]


def update(note: str) -> list[str]:
    """Take the present code into the table. Raises ValueError without a note where a version did not move."""
    known, now, names = table(), entries(), moved()
    same = [name for name in names if name in known and known[name]["version"] == now[name]["version"]]
    if same and not note:
        raise ValueError(f"say why the outputs of {', '.join(same)} are as before, or move VERSION")
    fresh = {name: known.get(name, {}) | entry for name, entry in now.items()}
    for name in names:
        fresh[name]["note"] = note or f"version {now[name]['version']}"
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(fresh[name])}" for name in sorted(fresh))
    TABLE.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    return names


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", metavar="NOTE", nargs="?", const="", help="take the present code into the table")
    options = parser.parse_args()
    try:
        changed = moved() if options.update is None else update(options.update)
    except ValueError as error:
        sys.exit(f"error: {error}")
    print("\n".join(changed) or "as the table has it")
