"""What actors call in tests; a module of its own, because an actor imports all that stands beside it."""

import os
import signal
from collections.abc import Iterator


def visible_gpus(_: object) -> Iterator[list[str]]:
    yield os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")


def full_store(_: object) -> Iterator[None]:
    from ray.exceptions import ObjectStoreFullError

    raise ObjectStoreFullError("no space")
    yield


def dies(_: object) -> Iterator[None]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield
