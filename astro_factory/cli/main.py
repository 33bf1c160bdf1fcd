"""The program `astro-factory`: its commands, and how it ends.

Exit codes: 0 done, 1 a stage failed or the store is damaged, 2 the user's input is wrong, 130 interrupted.
"""

import contextlib
import json
import os
import signal
import sys
from typing import Any, NoReturn

import typer

from astro_factory.cli import building, inspecting, planning, sharing, storing
from astro_factory.core.errors import UserError

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="astro-factory",
    help="Build reasoning datasets and models from a spec: search, traces, training, evaluation, publishing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (inspecting, planning, building, sharing, storing):
    for command in group.COMMANDS:
        app.command()(command)


def main() -> None:
    """Run the program; a user's mistake is a message, never a traceback."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except UserError as error:
        _report(error)
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
    """End at once: a light stage may still run in a thread, which leaves its work as a killed one does."""
    print("interrupted; the same command goes on from here", file=sys.stderr, flush=True)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(INTERRUPTED)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
