"""The program `astro-factory`: its commands and exit codes.

Exit codes: 0 success; 1 a stage failed, the store is damaged or `doctor` found a problem; 2 invalid input; 3 a build
reached its spend limit; 130 interrupted.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
from importlib import metadata
from typing import Annotated, Any, NoReturn

import typer

from astro_factory.core.errors import UserError

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130

_GARBAGE_THRESHOLD = 50_000
"""New objects between two garbage collections. Imports and plans make many objects that stay; this saves a tenth of the
time of a short command."""

GROUPS = {
    "language": ("check", "schema", "explain-error"),
    "listing": ("stages", "templates", "presets"),
    "planning": ("plan", "explain", "diff", "lock"),
    "probing": ("probe",),
    "inspecting": ("show",),
    "reporting": ("report",),
    "previewing": ("preview",),
    "chatting": ("chat",),
    "trees": ("replay",),
    "building": ("build",),
    "launching": ("launch",),
    "watching": ("watch",),
    "sweeping": ("sweep",),
    "verifying": ("verify",),
    "evaluating": ("samples", "harness"),
    "sharing": ("publish", "pull", "withdraw", "init"),
    "exporting": ("export-training",),
    "storing": ("export", "import", "push", "gc", "fsck"),
    "doctor": ("doctor", "gpu-check"),
}
"""The modules and their commands, in the order of the help text."""


def make_app(command: str | None = None) -> typer.Typer:
    """The program. For a known command, only its module is imported, so that it starts fast."""
    app = typer.Typer(
        name="astro-factory",
        help="Build reasoning datasets and models from a spec: search, traces, training, evaluation, publishing.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_program)  # keeps the command's name required when only one is loaded
    wanted = [group for group, names in GROUPS.items() if command in names] or GROUPS
    for group in wanted:
        for function in importlib.import_module(f"astro_factory.cli.{group}").COMMANDS:
            app.command(function.__name__.rstrip("_").replace("_", "-"))(function)
    return app


def _version(given: bool) -> None:
    if given:
        print(f"astro-factory {metadata.version('astro-factory')}")
        raise typer.Exit


def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the program. A user's mistake is a message, not a traceback."""
    signal.signal(signal.SIGTERM, _interrupt)
    gc.set_threshold(_GARBAGE_THRESHOLD)
    try:
        make_app(next(iter(sys.argv[1:]), None))()
    except UserError as error:
        _report(error)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        from astro_factory.core.packages import missing_import

        if (diagnostic := missing_import(error)) is None:
            raise
        _report(UserError(diagnostic))
        sys.exit(WRONG_INPUT)
    except PermissionError as error:
        from astro_factory.store.disk_errors import no_access

        if error.filename is None:
            raise
        _report(no_access(error))
        sys.exit(WRONG_INPUT)
    except KeyboardInterrupt:
        _leave()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _leave()
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)


def _report(error: UserError) -> None:
    if "--json" in sys.argv:
        found: dict[str, Any] = {"ok": False, "errors": [d.as_json() for d in error.diagnostics]}
        print(json.dumps(found))
        return
    for diagnostic in error.diagnostics:
        print(diagnostic, file=sys.stderr)


def _leave() -> NoReturn:
    """Exit at once. Stage processes end with this one, and the next build resumes their work."""
    print("interrupted; run the same command to resume", file=sys.stderr, flush=True)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(INTERRUPTED)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
