"""Errors of the disk as errors of the user: it is full, or the system refuses access to a file.

They look the same in the builder and in a stage, whichever library reports them.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astro_factory.core.errors import UserError, shown
from astro_factory.store.store_locks import READ_ONLY

_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
_MESSAGES = ("No space left on device", "Disk quota exceeded", "os error 28")
"""What libraries report that set no errno."""


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or one in its chain of causes, reports a full disk."""
    while error is not None:
        if getattr(error, "errno", None) in _ERRNOS or any(message in str(error) for message in _MESSAGES):
            return True
        error = error.__cause__ or error.__context__
    return False


def out_of_space(folder: Path) -> UserError:
    cause = f"no space left on the disk of '{shown(folder)}'"
    remedy = "free some space, e.g. with `astro-factory gc --delete`, and run the command again: finished work is kept"
    return UserError.of("E170", cause, remedy)


def no_access(error: OSError, remedy: str = "give your user access to it, or name another one") -> UserError:
    cause = f"the system refuses access to '{shown(Path(error.filename))}': {error.strerror}"
    return UserError.of("E179", cause, remedy)


@contextmanager
def disk_errors_explained(folder: Path) -> Iterator[None]:
    """Turn an error that reports a full disk into `UserError` E170, and one about a file of the folder into E179."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_full(error):
            raise out_of_space(folder) from error
        if isinstance(error, OSError) and error.errno in READ_ONLY and _is_below(error.filename, folder):
            remedy = (
                f"use a store of your own (`--store`) with `--cache file:{shown(folder)}`, or get access from its owner"
            )
            raise no_access(error, remedy) from error
        raise


def _is_below(name: object, folder: Path) -> bool:
    return isinstance(name, str) and Path(name).absolute().is_relative_to(folder.absolute())
