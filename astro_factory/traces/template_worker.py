"""Loads and checks templates in a worker process with limits on CPU time and memory.

The sandbox bounds what a template can do; the worker bounds what parsing and checking an unknown file can cost, should
the sandbox or Jinja itself have a hole. One process serves all templates of a build.
"""

from collections.abc import Sequence
from pathlib import Path

from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.workers import SharedWorker, WorkerError, limit_exceeded
from astro_factory.traces import error_codes

_TARGET = "astro_factory.traces.template_loader:load_and_check"
_CPU_S, _TIMEOUT_S = 3.0, 8.0
_MEMORY_BYTES = 768 << 20
_REMEDY = "simplify the template; docs/reference/templates.md lists the limits"

_worker = SharedWorker(_TARGET, memory_bytes=_MEMORY_BYTES, respawn=True)


def load_and_check(
    entry: str, folders: Sequence[Path], form: str
) -> tuple[TemplateSource | None, Sequence[Diagnostic]]:
    """`template_loader.load_and_check`, in the worker.

    Raises:
        UserError: E312 if the worker exceeds a limit, E311 if it fails in another way.
    """
    request = (entry, [folder.absolute() for folder in folders], form)
    try:
        return _worker.call(request, timeout_s=_TIMEOUT_S, cpu_s=_CPU_S)
    except WorkerError as error:
        if limit := limit_exceeded(error, _CPU_S, _MEMORY_BYTES):
            raise UserError.of(error_codes.LIMIT, f"checking template '{entry}' {limit}", _REMEDY) from None
        cause = f"template '{entry}' cannot be checked: {error.last_line}"
        raise UserError.of(error_codes.FAILED, cause, _REMEDY) from error
