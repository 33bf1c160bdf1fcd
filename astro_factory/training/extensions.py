"""Where DeepSpeed compiles its extensions for CPUs, without the locks that killed processes leave there."""

import os
import platform
import sys
import time
from pathlib import Path

from astro_factory.core.canonical import digest

_COMPILE_S = 900
"""Where the system does not tell who has a file open, a lock older than this counts as left behind."""
_OPEN_FILES = Path("/proc/self/fd")


def extensions_folder() -> Path:
    """The folder; locks in it without a compiler are removed, since DeepSpeed would wait for them forever.

    Each environment on each machine has its own: in PyTorch's default folder two versions would load each other's
    libraries, and on a shared home one machine could run what was compiled for another's CPU.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "astro-factory" / f"torch-extensions-{digest([sys.prefix, platform.node()])[:12]}"
    for lock in folder.glob("*/lock"):
        if not _is_held(lock):
            lock.unlink(missing_ok=True)
    return folder


def _is_held(lock: Path) -> bool:
    """Whether a process compiles: it has its lock open for as long."""
    if _OPEN_FILES.is_dir():
        file = str(lock.resolve())
        return any(_target(opened) == file for opened in Path("/proc").glob("[0-9]*/fd/*"))
    try:
        return time.time() - lock.stat().st_mtime <= _COMPILE_S
    except FileNotFoundError:
        return False


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:  # closed since, or a process of another user
        return ""
