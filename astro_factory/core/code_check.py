"""Checks the source behind `package.module:Name` without importing it.

Only what the source shows for certain is a fault. A name that is made in a way that cannot be followed here is left to
the build, which loads it.
"""

import ast
from pathlib import Path
from typing import NamedTuple

from astro_factory.core.errors import Diagnostic, Place, UserError, near, shown
from astro_factory.core.user_code import source_path


class Definition(NamedTuple):
    """A class or function in the source of its module."""

    path: Path
    tree: ast.Module
    node: ast.ClassDef | ast.FunctionDef

    def fault(self, code: str, cause: str, remedy: str, at: ast.ClassDef | ast.FunctionDef | None = None) -> Diagnostic:
        """A diagnostic at the definition, or at a method of it."""
        node = at or self.node
        return Diagnostic(code, cause, remedy, Place(shown(self.path), node.lineno, node.col_offset + 1))


def definition_of(target: str, code: str, what: str) -> Definition | None:
    """Where a target is defined; None if there is no readable source, or if the source does not show it.

    Raises:
        UserError: `code`, for a syntax error and for a module without the name; `what` names the target.
    """
    module, _, wanted = target.partition(":")
    path = source_path(module)
    if path is None or not wanted:
        return None
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        place = Place(shown(path), error.lineno or 0, error.offset or 1)
        raise UserError.of(code, f"{what} cannot be read: {error.msg}", "correct this line", place) from None
    except (OSError, ValueError, RecursionError, MemoryError):
        return None
    definitions = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    if found := definitions.get(wanted):
        return Definition(path, tree, found)
    if _may_bind(tree, wanted):
        return None
    cause = f"{what}: the module defines no '{wanted}'"
    raise UserError.of(code, cause, near(wanted, definitions) or "define it there", Place(shown(path)))


def call_faults(target: str, code: str, what: str, arguments: int) -> list[Diagnostic]:
    """What is wrong with a function or class that is called with so many positional arguments."""
    try:
        found = definition_of(target, code, what)
    except UserError as error:
        return error.diagnostics
    if found is None or found.node.decorator_list:
        return []
    if isinstance(found.node, ast.ClassDef):
        methods = {node.name: node for node in found.node.body if isinstance(node, ast.FunctionDef)}
        function, bound = methods.get("__init__"), 1
    else:
        function, bound = found.node, 0
    if function is None or function.decorator_list or takes(function, arguments + bound):
        return []
    beside = " beside `self`" if bound else ""
    cause = f"{what} does not take {arguments} positional arguments{beside}"
    return [found.fault(code, cause, "see docs/guide/extending.md for what it is called with", function)]


def takes(function: ast.FunctionDef, count: int) -> bool:
    """Whether a function can be called with so many positional arguments and no others."""
    arguments = function.args
    positional = len(arguments.posonlyargs) + len(arguments.args)
    required = positional - len(arguments.defaults)
    needs_keywords = any(default is None for default in arguments.kw_defaults)
    return required <= count and (count <= positional or arguments.vararg is not None) and not needs_keywords


def _may_bind(tree: ast.Module, wanted: str) -> bool:
    """Whether a module may bind a name in another way than by a definition at its top level."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(names=names):
                if any((alias.asname or alias.name) in (wanted, "*") for alias in names):
                    return True
            case ast.Name(id=name, ctx=ast.Store()) if name == wanted:
                return True
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) if name in (wanted, "__getattr__"):
                return True
            case ast.Call(func=ast.Name(id="globals" | "setattr" | "exec")):
                return True
    return False
