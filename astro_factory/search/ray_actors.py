"""Actors of a Ray cluster that call a function, each with an engine of its own; lost ones are started again by Ray.

The cluster is that of `ray_workers`. Its nodes must see the store under the driver's path, because what a call makes is
stored there.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from astro_factory.core.errors import UserError
from astro_factory.engines.config import EngineConfig
from astro_factory.search.ray_workers import connect

Argument = TypeVar("Argument")
Made = TypeVar("Made")
_RESTARTS = 4


class _Caller:
    """Runs on a node. What a function keeps between calls, such as an engine, stays in the actor's process."""

    def call(self, function: Callable[[Any], Any], argument: Any) -> Any:
        return function(argument)


class RayActors:
    """The actors of one stage."""

    def __init__(self, engine: EngineConfig, processes: int):
        """Raises `UserError` E619 if Ray is not installed."""
        cpus, gpus = connect(engine, processes)
        import ray

        options = {"num_cpus": cpus, "num_gpus": gpus, "max_restarts": _RESTARTS, "max_task_retries": _RESTARTS}
        # Any: Ray's stubs do not know the methods of an actor
        kind: Any = ray.remote(**options)(_Caller)
        self._actors = [kind.remote() for _ in range(processes)]

    def run(self, function: Callable[[Argument], Made], arguments: Sequence[Argument]) -> Iterator[Made]:
        """The results in the order in which they are done. A user error of a call is raised here."""
        from ray.exceptions import RayTaskError
        from ray.util import ActorPool

        pool: Any = ActorPool(self._actors)  # Any: its stubs know no results
        try:
            yield from pool.map_unordered(
                lambda actor, argument: actor.call.remote(function, argument), list(arguments)
            )
        except RayTaskError as error:
            cause = getattr(error, "cause", None)
            raise cause if isinstance(cause, UserError) else error from None

    def close(self) -> None:
        """End the actors; the cluster stays."""
        import ray

        for actor in self._actors:
            ray.kill(actor)
