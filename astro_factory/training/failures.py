"""How the processes of a training stage failed: each writes down its error, and the first cause is raised.

When one process fails, the others lose their connection to it and fail too. What they say about that is not the cause.
"""

import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TypedDict

from astro_factory.core.errors import Diagnostic, Place, UserError

_FILE = "processes.{rank}.failure"
_LAST_LINES = 30
_TORCHRUN = "torch/distributed/elastic/"
"""In a log, the first line with this path begins torchrun's report of a failure."""
_ORDER = ("user", "error", "lost", "stopped")
"""Kinds of failures, from the cause to its consequences."""
_LOST = ("closed by peer", "reset by peer", "refused", "broken pipe", "nccl", "watchdog", "timed out")
"""What collective operations say of a process that is gone, in lower case."""


class Interrupted(SystemExit):
    """Training was interrupted by a signal after it had saved a checkpoint."""


class Failure(TypedDict):
    """The end of one process."""

    rank: int
    kind: Literal["user", "error", "lost", "stopped"]
    """A user's mistake, an error, the loss of another process, or an interruption after a checkpoint."""
    text: str
    diagnostics: list[dict[str, Any]]
    """Of a user's mistake."""


def clear_failures(work: Path) -> None:
    """Forget how earlier processes failed."""
    for old in _files(work):
        old.unlink()


def _files(work: Path) -> list[Path]:
    return sorted(work.glob(_FILE.format(rank="*")))


def record_failure(work: Path, rank: int, error: BaseException) -> None:
    """Write down the error that ends this process."""
    if isinstance(error, UserError):
        failure = user_failure(*error.diagnostics, rank=rank)
    elif isinstance(error, Interrupted):
        failure = Failure(rank=rank, kind="stopped", text=str(error), diagnostics=[])
    else:
        lines = "".join(traceback.format_exception(error)).splitlines()[-_LAST_LINES:]
        kind = "lost" if _lost_another(error) else "error"
        failure = Failure(rank=rank, kind=kind, text="\n".join(lines), diagnostics=[])
    (work / _FILE.format(rank=rank)).write_text(json.dumps(failure))


def user_failure(*diagnostics: Diagnostic, rank: int = -1) -> Failure:
    """The failure of a process, or of a whole node, by a user's mistake."""
    return {"rank": rank, "kind": "user", "text": "", "diagnostics": [found.as_json() for found in diagnostics]}


def _lost_another(error: BaseException) -> bool:
    from torch.distributed import DistError

    collective = isinstance(error, DistError) or "gloo" in str(error).lower()
    return collective and any(words in str(error).lower() for words in _LOST)


def read_failures(work: Path) -> list[Failure]:
    """What the processes wrote down."""
    return [json.loads(path.read_text(errors="replace")) for path in _files(work)]


def raise_first(failures: Sequence[Failure], ended: str, lost: Exception | None, log: Sequence[str]) -> NoReturn:
    """Raise the cause of several failures.

    Args:
        ended: how the processes ended, for an error that has no better words.
        lost: a node that is gone. It is the cause, unless a process has a better one.
        log: the last lines of the log.
    """
    first = min(failures, key=lambda found: (_ORDER.index(found["kind"]), found["rank"]), default=None)
    if first and first["kind"] == "user":
        raise UserError(*map(_diagnostic, first["diagnostics"]))
    if first and first["kind"] == "error":
        raise RuntimeError(f"{ended}:\nrank {first['rank']}:\n{first['text']}")
    if lost:
        raise lost
    if first and first["kind"] == "stopped":
        raise Interrupted(first["text"])
    text = first["text"].splitlines() if first else []
    raise RuntimeError("\n".join([f"{ended}:", *text, *log]))


def log_tail(log_file: Path) -> list[str]:
    """The last lines of the log, without torchrun's own report except for the exit codes in it."""
    lines = log_file.read_text(errors="replace").splitlines()
    torchrun = next((number for number, line in enumerate(lines) if _TORCHRUN in line), len(lines))
    exits = [line.strip() for line in lines[torchrun:] if line.strip().startswith(("rank", "exitcode"))]
    return lines[:torchrun][-_LAST_LINES:] + exits


def _diagnostic(value: Mapping[str, Any]) -> Diagnostic:
    place = Place(value["file"], value["line"], value["column"]) if value["file"] else None
    return Diagnostic(value["code"], value["cause"], value["remedy"], place)
