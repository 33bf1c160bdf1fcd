"""Checks the source of a `python:package.module:Class` verifier without importing it.

Only what the source shows for certain is a fault. A class that is made or inherited in a way that cannot be followed
here is left to the build, which loads it.
"""

import ast
from pathlib import Path

from astro_factory.core.errors import Diagnostic, Place, near, shown
from astro_factory.core.user_code import source_path
from astro_factory.verifiers.base import Verifier

_PREFIX = "python:"
_POSITIONAL = {"check_problem": 1, "verify": 2}
"""The methods that a verifier must define, with the number of their arguments beside `self`."""
_CALLS = {"check_problem": "check_problem(self, problem)", "verify": "verify(self, problem, response)"}


def source_faults(name: str) -> list[Diagnostic]:
    """What is wrong in the source of a verifier (E402), with its place; empty for a name without readable source."""
    if not name.startswith(_PREFIX):
        return []
    module, _, wanted = name.removeprefix(_PREFIX).partition(":")
    path = source_path(module)
    if path is None or not wanted:
        return []
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        cause = f"verifier '{name}' cannot be read: {error.msg}"
        return [
            Diagnostic("E402", cause, "correct this line", Place(shown(path), error.lineno or 0, error.offset or 1))
        ]
    except (OSError, ValueError, RecursionError, MemoryError):
        return []
    definitions = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    found = definitions.get(wanted)
    if found is None:
        if _may_bind(tree, wanted):
            return []
        classes = [node.name for node in definitions.values() if isinstance(node, ast.ClassDef)]
        cause = f"verifier '{name}': the module has no class '{wanted}'"
        return [Diagnostic("E402", cause, near(wanted, classes) or "define it there", Place(shown(path)))]
    if isinstance(found, ast.FunctionDef):
        cause = f"verifier '{name}' is a function"
        return [_fault(path, found, cause, "write a class that derives from astro_factory.verifiers.base.Verifier")]
    return _class_faults(name, path, found, is_ours=_imports_verifier(tree))


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


def _imports_verifier(tree: ast.Module) -> bool:
    """Whether `Verifier` is the base class of this package."""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == Verifier.__module__
        and any(alias.name == "Verifier" and alias.asname is None for alias in node.names)
        for node in tree.body
    )


def _class_faults(name: str, path: Path, found: ast.ClassDef, is_ours: bool) -> list[Diagnostic]:
    if not (found.bases or found.keywords or found.decorator_list):
        cause = f"verifier '{name}' is not derived from Verifier"
        return [_fault(path, found, cause, "derive the class from astro_factory.verifiers.base.Verifier")]
    methods = {node.name: node for node in found.body if isinstance(node, ast.FunctionDef)}
    faults = [
        _fault(
            path,
            method,
            f"verifier '{name}': {label} does not take {count} positional arguments beside `self`",
            f"write `def {_CALLS[label]}`",
        )
        for label, count in _POSITIONAL.items()
        if (method := methods.get(label)) and not method.decorator_list and not _takes(method, count + 1)
    ]
    direct = is_ours and not found.decorator_list and [ast.unparse(base) for base in found.bases] == ["Verifier"]
    simple = all(
        isinstance(node, ast.FunctionDef | ast.AnnAssign | ast.Expr | ast.Pass) or _names(node) for node in found.body
    )
    missing = [label for label in _POSITIONAL if label not in methods]
    if direct and simple and missing:
        cause = f"verifier '{name}' lacks {' and '.join(f'`{label}`' for label in missing)}"
        faults.append(_fault(path, found, cause, f"define {' and '.join(f'`{_CALLS[label]}`' for label in missing)}"))
    return faults


def _names(node: ast.stmt) -> bool:
    """Whether a statement of a class assigns names none of which is a required method."""
    return isinstance(node, ast.Assign) and not any(
        isinstance(inner, ast.Name) and inner.id in _POSITIONAL for target in node.targets for inner in ast.walk(target)
    )


def _takes(method: ast.FunctionDef, count: int) -> bool:
    """Whether a function can be called with so many positional arguments and no others."""
    arguments = method.args
    positional = len(arguments.posonlyargs) + len(arguments.args)
    required = positional - len(arguments.defaults)
    needs_keywords = any(default is None for default in arguments.kw_defaults)
    return required <= count and (count <= positional or arguments.vararg is not None) and not needs_keywords


def _fault(path: Path, node: ast.ClassDef | ast.FunctionDef, cause: str, remedy: str) -> Diagnostic:
    return Diagnostic("E402", cause, remedy, Place(shown(path), node.lineno, node.col_offset + 1))
