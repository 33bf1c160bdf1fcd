"""What stands between a spec that names Python code and running it: the code must be there, and trusted.

Code of a publication that was pulled runs only with `--trust`; code that the user's own spec names needs no permission.
"""

from collections.abc import Iterable

from astro_factory.core.code_folders import code_variables, make_importable
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.graph import Graph, NamedCode
from astro_factory.core.plans import Hit, Import, Plan
from astro_factory.core.user_code import load_target
from astro_factory.core.workers import Worker, WorkerError
from astro_factory.verifiers import get_verifier

_LOAD_S = 120.0
"""How long an import may take."""


def require_code(plan: Plan, trust: bool) -> None:
    """Check the code that a build of this plan executes; a stage whose result exists executes none.

    Raises:
        UserError: E402, E605 or E611 for code that is not there, E190 for code of a publication without `trust`.
    """
    waiting = [
        name
        for name, item in plan.nodes.items()
        if not isinstance(item, Hit | Import) and item.node.section != "publish"
    ]
    found = plan.graph.code_behind(waiting)
    if missing := [code for code in found if not code.file and not code.modules]:
        raise UserError(*(_missing(code) for code in missing))
    require_trust(found, trust)


def require_trust(found: Iterable[NamedCode], trust: bool) -> None:
    """Raises `UserError` E190 for code of a publication without `trust`."""
    if foreign := [code for code in found if code.publication and not trust]:
        raise UserError(*(_untrusted(code) for code in foreign))


def enable_code(graph: Graph, trust: bool) -> None:
    """Let this process, and those that it starts, import the code that a spec names beside it.

    Raises:
        UserError: E190 for code of a publication without `trust`.
    """
    require_trust(graph.code_behind(graph.nodes), trust)
    make_importable(graph.code_modules())


def load_code(graph: Graph) -> None:
    """Import all code that a spec names in a process of its own, and make its verifiers.

    Raises:
        UserError: E402, E605 or E611 for each that cannot be loaded.
    """
    faults: list[Diagnostic] = []
    for code in graph.code_behind(graph.nodes):
        # a fresh process for each: one that ends its process must not hide the others' faults
        with Worker(f"{__name__}:_load", environment=code_variables(graph.code_modules())) as worker:
            try:
                worker.call(code, timeout_s=_LOAD_S)
            except UserError as error:
                faults += [Diagnostic(f.code, f.cause, f.remedy, f.place or code.place) for f in error.diagnostics]
            except WorkerError as error:
                cause = f"{code} cannot be loaded ({error.last_line})"
                faults.append(Diagnostic(code.error, cause, "fix the error in its code", code.place))
    if faults:
        raise UserError(*faults)


def _load(code: NamedCode) -> None:
    if code.role == "verifier":
        get_verifier(f"python:{code.target}")
    elif not callable(load_target(code.target, code.error, str(code))):
        raise UserError.of(code.error, f"{code} cannot be called", "name a class or a function")


def _missing(code: NamedCode) -> Diagnostic:
    module = code.target.partition(":")[0]
    cause = f"{code} cannot be loaded: there is no module '{module}'"
    return Diagnostic(code.error, cause, "put its file beside the spec, or install its package", code.place)


def _untrusted(code: NamedCode) -> Diagnostic:
    where = f" ({code.file})" if code.file else ""
    cause = f"{code}{where} is code of the publication in '{code.publication}'"
    return Diagnostic("E190", cause, "read it, then let it run with --trust", code.place)
