"""Actors of a Ray cluster that call a function which yields results, each with an engine of its own.

What is lost with an actor or its node is what it had not handed over: another one does the rest.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from astro_factory.core.errors import UserError
from astro_factory.core.ray_cluster import Room, store_errors

Argument = TypeVar("Argument")
Made = TypeVar("Made")
_MAX_LOSSES = 3
"""Losses of actors in a row, without a result in between, that end the stage."""
_WAIT_S = 1.0


class _Caller:
    """Runs on a node. What a function keeps between calls, such as an engine, stays in the actor's process."""

    def call(self, function: Callable[[Any], Iterator[Any]], argument: Any) -> Iterator[Any]:
        yield from function(argument)


class _Slot:
    """An actor with its place on the cluster."""

    def __init__(self, room: Room):
        self._room = room
        self.losses = 0
        """Losses since its last result."""
        self._open()

    def _open(self) -> None:
        self.place = self._room.place()
        self._actor: Any = None

    def call(self, function: Callable[[Argument], Iterator[Made]], argument: Argument) -> Any:
        """Start a call; returns Ray's generator of references to its results."""
        if self._actor is None:
            self._actor = self.place.start(_Caller)
        return self._actor.call.options(num_returns="streaming").remote(function, argument)

    def replace(self, error: Exception) -> None:
        """Take another actor for the one that was lost. Raises `UserError` E614 if that has not helped before."""
        self.losses += 1
        if self.losses == _MAX_LOSSES:
            raise UserError.of(
                "E614",
                f"a Ray actor was lost {_MAX_LOSSES} times before it finished a sample: {str(error).splitlines()[0]}",
                "see the log of its node for the reason; if memory ran out, lower processes, then run the command "
                "again. Finished samples are kept",
            )
        self.close()
        self._open()

    def close(self) -> None:
        import ray

        if self._actor is not None:
            ray.kill(self._actor)
        self.place.close()


class RayActors(Generic[Argument, Made]):
    """The actors of one stage."""

    def __init__(
        self,
        room: Room,
        processes: int,
        function: Callable[[Argument], Iterator[Made]],
        rest: Callable[[Argument, Sequence[Made]], Argument | None],
    ):
        """
        Args:
            function: what the actors call; importable on the nodes.
            rest: what remains of an argument after these results; None if nothing remains.
        """
        self._room, self._function, self._rest = room, function, rest
        self._slots = [_Slot(room) for _ in range(processes)]

    def run(self, arguments: Sequence[Argument]) -> Iterator[Made]:
        """The results for all arguments, in the order in which they arrive.

        Raises:
            UserError: E614 if actors are lost repeatedly, E641 if the cluster has no room, and any error of a call.
        """
        import ray

        queue = deque(arguments)
        calls: dict[Any, tuple[_Slot, Argument, list[Made]]] = {}
        """The calls in progress by their generator."""
        while queue or calls:
            busy = {id(slot) for slot, _, _ in calls.values()}
            for slot in self._slots:
                if queue and id(slot) not in busy and not self._room.waits(slot.place):
                    argument = queue.popleft()
                    calls[slot.call(self._function, argument)] = (slot, argument, [])
            if not calls:
                time.sleep(_WAIT_S)
                continue
            ready, _ = ray.wait(list(calls), num_returns=1, timeout=_WAIT_S, fetch_local=False)
            for generator in ready:
                yield from self._take(generator, calls, queue)

    def _take(
        self, generator: Any, calls: dict[Any, tuple[_Slot, Argument, list[Made]]], queue: deque[Argument]
    ) -> Iterator[Made]:
        """The next result of a call, if there is one."""
        import ray
        from ray.exceptions import ObjectLostError, RayActorError

        slot, argument, made = calls[generator]
        try:
            with store_errors():
                result: Any = ray.get(next(generator))
        except StopIteration:
            del calls[generator]
        except (RayActorError, ObjectLostError) as error:
            del calls[generator]
            slot.replace(error)
            if (rest := self._rest(argument, made)) is not None:
                queue.append(rest)
        else:
            slot.losses = 0
            made.append(result)
            yield result

    def close(self) -> None:
        """End the actors; the cluster stays."""
        for slot in self._slots:
            slot.close()
