"""Loads and checks templates in a worker process with limits on CPU time and memory.

The sandbox bounds what a template can do; the worker bounds what parsing and checking an unknown file can cost, should
the sandbox or Jinja itself have a hole. One process serves all templates of a build.
"""

from collections.abc import Sequence
from pathlib import Path

from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.workers import SharedWorker, WorkerDied, WorkerError, WorkerTimeout
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
    except WorkerTimeout:
        cause = f"checking template '{entry}' takes more than {_CPU_S:g} s"
    except WorkerDied:
        cause = f"checking template '{entry}' needs more than {_MEMORY_BYTES >> 20} MB"
    except WorkerError as error:
        last_line = str(error).strip().splitlines()[-1]
        if last_line != "MemoryError":
            cause = f"template '{entry}' cannot be checked: {last_line}"
            raise UserError.of(error_codes.FAILED, cause, _REMEDY) from error
        cause = f"checking template '{entry}' needs more than {_MEMORY_BYTES >> 20} MB"
    raise UserError.of(error_codes.LIMIT, cause, _REMEDY)
