"""A full disk, told in one way wherever it shows: in the builder or in a stage, from Python or from a library."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astro_factory.core.errors import UserError, shown

_NUMBERS = (errno.ENOSPC, errno.EDQUOT)
_WORDS = ("No space left on device", "Disk quota exceeded", "os error 28")
"""How libraries say it that give no number."""


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that a disk is full."""
    while error is not None:
        if getattr(error, "errno", None) in _NUMBERS or any(words in str(error) for words in _WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def out_of_space(folder: Path) -> UserError:
    cause = f"there is no space left in '{shown(folder)}'"
    remedy = (
        "free some, or let `astro-factory gc --delete` do it, then run the same command again: what is done is kept"
    )
    return UserError.of("E170", cause, remedy)


@contextmanager
def disk_full_as_error(folder: Path) -> Iterator[None]:
    """Turn an error that says that the disk is full into `UserError` E170."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_full(error):
            raise out_of_space(folder) from error
        raise
