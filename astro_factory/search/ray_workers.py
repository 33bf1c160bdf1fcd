"""Search workers as Ray actors: engines on the GPUs of many machines, fed by one driver that keeps the ledger."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from astro_factory.core.problems import Problem
from astro_factory.core.ray_cluster import Room, connect, gpus_for, store_errors
from astro_factory.core.ray_folders import SharedFolder, SharedFolders
from astro_factory.engines.config import EngineConfig, TransformersConfig
from astro_factory.search.engine_worker import EngineSearch, SearchProgress, SearchSettings
from astro_factory.search.workers import EngineWorker, WorkerLost


class _Actor:
    """Runs on a node. The first call loads the engine, so that its errors reach the driver."""

    def __init__(self, settings: SearchSettings, model: SharedFolder):
        self._settings, self._model = settings, model
        self._search: EngineSearch | None = None

    def advance(self, problems: dict[str, Problem]) -> SearchProgress:
        if self._search is None:
            self._search = EngineSearch.open(replace(self._settings, folder=self._model.here()))
        return self._search.advance(problems)


class RayWorker(EngineWorker):
    """An actor; lost when its process or its node dies."""

    def __init__(self, settings: SearchSettings, model: SharedFolder, room: Room):
        self._room, self._place = room, room.place()
        self._actor = self._place.start(_Actor, settings, model)

    def advance(self, problems: dict[str, Problem]) -> "Future[SearchProgress]":
        future: Future[SearchProgress] = Future()
        self._actor.advance.remote(problems).future().add_done_callback(partial(_forward, future))
        return future

    def is_waiting(self) -> bool:
        return self._room.waits(self._place)

    def close(self) -> None:
        import ray

        ray.kill(self._actor)
        self._place.close()


def _forward(target: "Future[SearchProgress]", source: "Future[SearchProgress]") -> None:
    from ray.exceptions import RayActorError

    try:
        with store_errors():
            target.set_result(source.result())
    except RayActorError as error:
        target.set_exception(WorkerLost(str(error).splitlines()[0]))
    except Exception as error:
        target.set_exception(error)


def ray_workers(
    settings: SearchSettings, digest: str, processes: int, log: Callable[[str], None]
) -> list[Callable[[], EngineWorker]]:
    """A factory for each worker on the cluster; a worker that finds no free resources waits while the others work.

    Args:
        digest: content digest of the model.

    Raises:
        UserError: what `connect`, `gpus_for` and `wait_limit` of `core.ray_cluster` raise.
    """
    room = engine_room(settings.engine, processes, log)
    model = SharedFolders().share(settings.folder, digest)
    return [lambda: RayWorker(settings, model, room) for _ in range(processes)]


def engine_room(engine: EngineConfig, processes: int, log: Callable[[str], None]) -> Room:
    """Connect to the cluster; the room for this many engines there."""
    connect()
    needs_gpu = isinstance(engine, TransformersConfig) and engine.device == "cuda"
    smaller = "lower the engine's tensor_parallel_size"
    gpus = gpus_for(processes, engine.gpus(), needs_gpu, smaller, "set `processes` to {room}")
    return Room({"CPU": engine.cores(), "GPU": gpus}, "an engine", log)
