"""Search workers as Ray actors: engines on the GPUs of many machines, fed by one driver that keeps the ledger.

The cluster is the one that `RAY_ADDRESS` names, otherwise this machine. Its nodes need this package and must see the
model under the driver's path (a shared file system).
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from astro_factory.core.code_folders import VARIABLE
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.engines.config import EngineConfig
from astro_factory.search.engine_worker import EngineSearch, SearchProgress, SearchSettings
from astro_factory.search.workers import EngineWorker, WorkerLost


class _Actor:
    """Runs on a node. The first call loads the engine, so that its errors reach the driver."""

    def __init__(self, settings: SearchSettings):
        self._settings = settings
        self._search: EngineSearch | None = None

    def advance(self, problems: dict[str, Problem]) -> SearchProgress:
        if self._search is None:
            self._search = EngineSearch.open(self._settings)
        return self._search.advance(problems)


class RayWorker(EngineWorker):
    """An actor; lost when its process or its node dies."""

    def __init__(self, settings: SearchSettings, cpus: float, gpus: float):
        import ray

        # Any: Ray's stubs do not know the methods of an actor
        self._actor: Any = ray.remote(num_cpus=cpus, num_gpus=gpus)(_Actor).remote(settings)

    def advance(self, problems: dict[str, Problem]) -> "Future[SearchProgress]":
        future: Future[SearchProgress] = Future()
        self._actor.advance.remote(problems).future().add_done_callback(partial(_forward, future))
        return future

    def close(self) -> None:
        import ray

        ray.kill(self._actor)


def _forward(target: "Future[SearchProgress]", source: "Future[SearchProgress]") -> None:
    from ray.exceptions import RayActorError, RayTaskError

    error = source.exception()
    if error is None:
        target.set_result(source.result())
    elif isinstance(error, RayTaskError):
        cause = getattr(error, "cause", None)
        target.set_exception(cause if isinstance(cause, UserError) else error)
    elif isinstance(error, RayActorError):
        target.set_exception(WorkerLost(str(error).splitlines()[0]))
    else:
        target.set_exception(error)


def ray_workers(settings: SearchSettings, processes: int) -> list[Callable[[], EngineWorker]]:
    """A factory for each worker on the cluster; a worker that finds no free resources waits while the others work.

    Raises:
        UserError: E619 if Ray is not installed.
    """
    cpus, gpus = connect(settings.engine, processes)
    return [lambda: RayWorker(settings, cpus, gpus) for _ in range(processes)]


def connect(engine: EngineConfig, processes: int) -> tuple[float, float]:
    """Connect to the cluster, unless this process is connected; returns the CPUs and GPUs of each actor.

    Raises:
        UserError: E619 if Ray is not installed, E181 if the cluster has GPUs, but too few.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        cause = "`backend: ray` needs the package 'ray', which is not installed"
        raise UserError.of("E619", cause, "pip install 'astro-factory[ray]'") from error
    if not ray.is_initialized():
        path = os.pathsep.join(part or os.getcwd() for part in sys.path)
        code = {name: text for name, text in os.environ.items() if name == VARIABLE}
        variables = {"PYTHONPATH": path, "PYTHONHASHSEED": "0", **code}
        ray.init(runtime_env={"env_vars": variables}, include_dashboard=False, log_to_driver=False)
    cpus, gpus = engine.cores(), engine.gpus()
    found = int(ray.cluster_resources().get("GPU", 0))
    if 0 < found < gpus * processes:
        cause = f"{processes} engines need {gpus * processes} GPUs, and the Ray cluster has {found}"
        remedy = f"set `processes` to {found // gpus}" if found >= gpus else "lower the engine's tensor_parallel_size"
        raise UserError.of("E181", cause, remedy)
    return cpus, gpus if found else 0
