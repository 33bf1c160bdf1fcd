"""Checks the source of a `python:package.module:Class` verifier without importing it.

Only what the source shows for certain is a fault. A class that is made or inherited in a way that cannot be followed
here is left to the build, which loads it.
"""

import ast

from astro_factory.core.code_check import Definition, definition_of, takes
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.verifiers.base import Verifier

_PREFIX = "python:"
_POSITIONAL = {"check_problem": 1, "verify": 2}
"""The methods that a verifier must define, with the number of their arguments beside `self`."""
_CALLS = {"check_problem": "check_problem(self, problem)", "verify": "verify(self, problem, response)"}


def source_faults(name: str) -> list[Diagnostic]:
    """What is wrong in the source of a verifier (E402), with its place; empty for a name without readable source."""
    if not name.startswith(_PREFIX):
        return []
    what = f"verifier '{name}'"
    try:
        found = definition_of(name.removeprefix(_PREFIX), "E402", what)
    except UserError as error:
        return error.diagnostics
    if found is None:
        return []
    if isinstance(found.node, ast.FunctionDef):
        remedy = "write a class that derives from astro_factory.verifiers.base.Verifier"
        return [found.fault("E402", f"{what} is a function", remedy)]
    return _class_faults(what, found, found.node)


def _imports_verifier(tree: ast.Module) -> bool:
    """Whether `Verifier` is the base class of this package."""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == Verifier.__module__
        and any(alias.name == "Verifier" and alias.asname is None for alias in node.names)
        for node in tree.body
    )


def _class_faults(what: str, found: Definition, node: ast.ClassDef) -> list[Diagnostic]:
    if not (node.bases or node.keywords or node.decorator_list):
        remedy = "derive the class from astro_factory.verifiers.base.Verifier"
        return [found.fault("E402", f"{what} is not derived from Verifier", remedy)]
    methods = {method.name: method for method in node.body if isinstance(method, ast.FunctionDef)}
    faults = [
        found.fault(
            "E402",
            f"{what}: {label} does not take {count} positional arguments beside `self`",
            f"write `def {_CALLS[label]}`",
            method,
        )
        for label, count in _POSITIONAL.items()
        if (method := methods.get(label)) and not method.decorator_list and not takes(method, count + 1)
    ]
    is_ours = _imports_verifier(found.tree)
    direct = is_ours and not node.decorator_list and [ast.unparse(base) for base in node.bases] == ["Verifier"]
    simple = all(
        isinstance(part, ast.FunctionDef | ast.AnnAssign | ast.Expr | ast.Pass) or _names(part) for part in node.body
    )
    missing = [label for label in _POSITIONAL if label not in methods]
    if direct and simple and missing:
        cause = f"{what} lacks {' and '.join(f'`{label}`' for label in missing)}"
        calls = " and ".join(f"`{_CALLS[label]}`" for label in missing)
        faults.append(found.fault("E402", cause, f"define {calls}"))
    return faults


def _names(node: ast.stmt) -> bool:
    """Whether a statement of a class assigns names none of which is a required method."""
    return isinstance(node, ast.Assign) and not any(
        isinstance(inner, ast.Name) and inner.id in _POSITIONAL for target in node.targets for inner in ast.walk(target)
    )
