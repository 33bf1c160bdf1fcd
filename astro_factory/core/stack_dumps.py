"""Dumps of the Python stacks of a stage's processes, for a stage that hangs.

Every process of a stage registers under a name. The builder signals them all and reads the files that they write.
Python's own fault handler writes them, so a process responds even during a C call.
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
"""Kept open for the fault handler, and locked until this process ends."""


def listen(name: str) -> None:
    """Register this process, if it belongs to a running stage, to write its stacks on a signal."""
    global _file
    folder = os.environ.get(FOLDER)
    if folder and Path(folder).is_dir():
        _file = open(Path(folder) / f"{os.getpid()} {name}", "w", encoding="utf-8")  # noqa: SIM115
        fcntl.flock(_file, fcntl.LOCK_EX)
        faulthandler.register(_SIGNAL, file=_file, all_threads=True)


def collect(folder: Path) -> dict[str, str]:
    """Signal all processes that are registered in a folder; returns their stacks by name."""
    alive = sorted(filter(_is_alive, folder.glob("*")), key=lambda path: path.name.partition(" ")[2])
    for path in alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(path.name.partition(" ")[0]), _SIGNAL)
    time.sleep(_WRITING_S)
    found = {}
    for path in alive:
        pid, _, name = path.name.partition(" ")
        found[f"{name} (process {pid})"] = path.read_text(encoding="utf-8", errors="replace").rstrip()
    return found


def main_thread(stacks: str, lines: int = 12) -> str:
    """The innermost frames of a process's main thread, indented."""
    own = stacks[max(0, stacks.rfind("Current thread")) :].splitlines()
    return "\n".join(f"    {line.strip()}" for line in own[1 : 1 + lines])


def _is_alive(path: Path) -> bool:
    """Whether the process that owns a file is alive; its ID alone may belong to a new process."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
