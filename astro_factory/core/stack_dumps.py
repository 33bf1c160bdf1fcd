"""The Python stacks of a stage's processes, for a stage that hangs.

Every process that a stage consists of listens under a name; the one that ends the stage asks them all, and reads what
they wrote. Python's own fault handler writes them, so a process answers in the middle of a C call too.
"""

import contextlib
import faulthandler
import fcntl
import os
import signal
import time
from pathlib import Path

FOLDER = "ASTRO_FACTORY_STACKS"
"""Environment variable: the folder that the processes of a stage write to."""
_SIGNAL = signal.SIGUSR2
_WRITING_S = 1.0

_file = None
"""Held open for the fault handler, and locked for as long as this process lives."""


def listen(name: str) -> None:
    """Let this process write its stacks when it is asked, if it belongs to a stage that is not over."""
    global _file
    folder = os.environ.get(FOLDER)
    if folder and Path(folder).is_dir():
        _file = open(Path(folder) / f"{os.getpid()} {name}", "w", encoding="utf-8")  # noqa: SIM115
        fcntl.flock(_file, fcntl.LOCK_EX)
        faulthandler.register(_SIGNAL, file=_file, all_threads=True)


def collect(folder: Path) -> dict[str, str]:
    """Ask all processes that listen in a folder; what they wrote by their names."""
    living = sorted(filter(_lives, folder.glob("*")), key=lambda path: path.name.partition(" ")[2])
    for path in living:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(path.name.partition(" ")[0]), _SIGNAL)
    time.sleep(_WRITING_S)
    found = {}
    for path in living:
        pid, _, name = path.name.partition(" ")
        found[f"{name} (process {pid})"] = path.read_text(encoding="utf-8", errors="replace").rstrip()
    return found


def main_thread(stacks: str, lines: int = 12) -> str:
    """The innermost lines of the thread that a process's stacks are mostly about, indented."""
    own = stacks[max(0, stacks.rfind("Current thread")) :].splitlines()
    return "\n".join(f"    {line.strip()}" for line in own[1 : 1 + lines])


def _lives(path: Path) -> bool:
    """Whether the process that writes to a file lives; its number alone may be another's by now."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
