"""One error for a full disk, in the builder or in a stage, whichever library reports it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astro_factory.core.errors import UserError, shown

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


@contextmanager
def disk_full_as_error(folder: Path) -> Iterator[None]:
    """Turn an error that reports a full disk into `UserError` E170."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_full(error):
            raise out_of_space(folder) from error
        raise
