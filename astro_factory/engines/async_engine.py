"""Engines that answer every sample in its own time, from other threads: nothing waits for its batch's slowest."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue

from astro_factory.core.errors import UserError
from astro_factory.engines.base import Engine, Request, Sample, SampleStream, Stream, gather


class AsyncEngine(Engine):
    """A kind says how one sample is asked for; streams and batches follow from that."""

    timeout_s: float | None = None
    """An engine that ends no sample for so long counts as hung; None where `submit` has limits of its own."""

    @abstractmethod
    def submit(self, request: Request, seed: int) -> "Future[Sample]":
        """One sample, to come. A future that is cancelled frees what works on it. Raises E601."""

    def generate(self, requests: Sequence[Request]) -> list[list[Sample]]:
        return gather(self.stream(), enumerate(requests))

    def stream(self) -> Stream:
        return _AsyncStream(self)


class _AsyncStream(SampleStream):
    """Samples come in through a queue; after a failure nothing of this stream is worked on any more."""

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
                f"the engine ended no sample in {self._engine.timeout_s:g} s, with {len(self._pending)} in flight",
                "raise its timeout_s if it is only slow, and look at its log if it hangs. "
                "Finished items are kept, and the same command goes on from there",
            ) from None
