"""The functions that the workers of the tests run."""

import os
import time

from astro_factory.core.errors import UserError


def double(value):
    return value * 2


def refuse(value):
    raise UserError.of("E999", f"refused '{value}'", "ask again")


def sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def die(status: int) -> None:
    os._exit(status)


def allocate(size: int) -> int:
    return len(bytearray(size))


def hang(_: object) -> None:
    time.sleep(60)


def vanish(_: object) -> None:
    os._exit(9)


def share(seconds: float) -> str:
    time.sleep(seconds)
    return os.environ.get("SHARE", "")


def spin(_: object) -> None:
    """One long operation that never lets another thread run."""
    pow(7, 10**9)


def die_or_return_pid(status: int | None) -> int:
    if status is not None:
        os._exit(status)
    return os.getpid()
