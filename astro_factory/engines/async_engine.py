"""Engines that finish each sample independently, in other threads: nothing waits for the slowest of a batch."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue

from astro_factory.core.errors import UserError
from astro_factory.engines.base import Engine, Request, Sample, SampleStream, Stream, gather


class AsyncEngine(Engine):
    """A subclass submits single samples; streams and batches follow from that."""

    timeout_s: float | None = None
    """An engine that finishes no sample for this long counts as hung; None if `submit` has its own limits."""

    @abstractmethod
    def submit(self, request: Request, seed: int) -> "Future[Sample]":
        """Start one sample. Cancelling the future frees its resources. Raises `UserError` E601."""

    def generate(self, requests: Sequence[Request]) -> list[list[Sample]]:
        return gather(self.stream(), enumerate(requests))

    def stream(self) -> Stream:
        return _AsyncStream(self)


class _AsyncStream(SampleStream):
    """Finished samples arrive through a queue; a failure cancels all others of the stream."""

    def __init__(self, engine: AsyncEngine):
        super().__init__()
        self._engine = engine
        self._arrived: SimpleQueue[int] = SimpleQueue()
        self._pending: dict[int, Future[Sample]] = {}

    def _begin(self, number: int, request: Request, seed: int) -> None:
        self._pending[number] = future = self._engine.submit(request, seed)
        future.add_done_callback(partial(self._arrive, number))

    def _arrive(self, number: int, _: "Future[Sample]") -> None:
        self._arrived.put(number)

    def _finished(self) -> Iterator[tuple[int, Sample]]:
        try:
            number = self._next()
            yield number, self._pending.pop(number).result()
            while not self._arrived.empty():
                number = self._arrived.get()
                yield number, self._pending.pop(number).result()
        except BaseException:
            for future in self._pending.values():
                future.cancel()
            raise

    def _next(self) -> int:
        try:
            return self._arrived.get(timeout=self._engine.timeout_s)
        except Empty:
            raise UserError.of(
                "E610",
                f"the engine finished no sample in {self._engine.timeout_s:g} s, with {len(self._pending)} in flight",
                "raise its timeout_s if it is only slow, or look at its log if it hangs. "
                "Finished items are kept: the same command continues from there",
            ) from None
