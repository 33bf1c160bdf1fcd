"""Workers in Ray's actors: engines on the GPUs of many machines, dealt to by one driver that keeps the ledger.

The cluster is the one that `RAY_ADDRESS` names, else this machine. Its nodes see the model under the driver's path
(a shared file system) and have this package installed.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.search.engine_worker import EngineSearch, SearchProgress, SearchSettings
from astro_factory.search.workers import EngineWorker, WorkerLost


class _Actor:
    """What runs on a node; the engine is loaded by the first call, whose errors reach the driver."""

    def __init__(self, settings: SearchSettings):
        self._settings = settings
        self._search: EngineSearch | None = None

    def advance(self, problems: dict[str, Problem]) -> SearchProgress:
        if self._search is None:
            self._search = EngineSearch.open(self._settings)
        return self._search.advance(problems)


class RayWorker(EngineWorker):
    """An actor; lost with its process or its node."""

    def __init__(self, settings: SearchSettings, resources: dict[str, float]):
        import ray

        self._actor = ray.remote(_Actor).options(**resources).remote(settings)

    def advance(self, problems: dict[str, Problem]) -> "Future[SearchProgress]":
        future: Future[SearchProgress] = Future()
        self._actor.advance.remote(problems).future().add_done_callback(partial(_hand_over, future))
        return future

    def close(self) -> None:
        import ray

        ray.kill(self._actor)


def _hand_over(future: "Future[SearchProgress]", done: Any) -> None:
    from ray.exceptions import RayActorError, RayTaskError

    error = done.exception()
    if error is None:
        future.set_result(done.result())
    elif isinstance(error, RayTaskError):
        future.set_exception(error.cause if isinstance(error.cause, UserError) else error)
    elif isinstance(error, RayActorError):
        future.set_exception(WorkerLost(str(error).splitlines()[0]))
    else:
        future.set_exception(error)


def ray_workers(settings: SearchSettings, processes: int) -> list[Callable[[], EngineWorker]]:
    """How each worker on the cluster is filled; one that finds no room waits for it while the others work.

    Raises:
        UserError: E619 if Ray is not installed.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        cause = "`backend: ray` needs the package 'ray', which is not installed"
        raise UserError.of("E619", cause, "pip install 'astro-factory[ray]'") from error
    if not ray.is_initialized():
        path = os.pathsep.join(part or os.getcwd() for part in sys.path)
        variables = {"PYTHONPATH": path, "PYTHONHASHSEED": "0"}
        ray.init(runtime_env={"env_vars": variables}, include_dashboard=False, log_to_driver=False)
    gpus = getattr(settings.engine, "tensor_parallel_size", 1)
    enough = ray.cluster_resources().get("GPU", 0) >= gpus * processes
    resources = {"num_cpus": getattr(settings.engine, "threads", 1), "num_gpus": gpus if enough else 0}
    return [lambda: RayWorker(settings, resources)] * processes
