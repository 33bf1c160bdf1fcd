"""Workers that search: one for each engine, in this process, in other processes of this machine, or as Ray actors.

`drive` hands problems from the ledger to the workers and stores the trees that come back. A worker whose process dies
or hangs is restarted, and its problems return to the ledger; repeated losses without a finished tree end the search.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from astro_factory.core.devices import gpu_shares
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.workers import Worker, WorkerDied
from astro_factory.search.engine_worker import EngineSearch, SearchProgress, SearchSettings
from astro_factory.search.ledger import Ledger

_POLL_S = 0.2
"""Between looks at trees that other processes are making."""
_LOSSES = 3
"""In a row, without a tree between them, end the search."""
_PATIENCE_S = 1.0
"""A wait for the workers is interrupted so often, so that a caller can say that it lives."""


class WorkerLost(Exception):
    """The process behind a worker ended in the middle of its work."""


class EngineWorker(ABC):
    """One engine with its growing trees."""

    @abstractmethod
    def advance(self, problems: dict[str, Problem]) -> "Future[SearchProgress]":
        """Begin these problems and go on; the future raises `WorkerLost` where the process has ended."""

    @abstractmethod
    def close(self) -> None: ...


class InProcessWorker(EngineWorker):
    """In this process."""

    def __init__(self, search: EngineSearch):
        self._search = search

    def advance(self, problems: dict[str, Problem]) -> "Future[SearchProgress]":
        future: Future[SearchProgress] = Future()
        future.set_result(self._search.advance(problems))
        return future

    def close(self) -> None:
        self._search.close()


class SubprocessWorker(EngineWorker):
    """In a process of this machine, driven by a thread of its own."""

    def __init__(self, settings: SearchSettings, environment: dict[str, str]):
        self._settings, self._environment = settings, environment
        self._worker: Worker | None = None
        self._thread = ThreadPoolExecutor(1)

    def advance(self, problems: dict[str, Problem]) -> "Future[SearchProgress]":
        return self._thread.submit(self._call, problems)

    def _call(self, problems: dict[str, Problem]) -> SearchProgress:
        try:
            if self._worker is None:
                self._worker = Worker("astro_factory.search.engine_worker:advance", environment=self._environment)
                self._worker.call(self._settings)
            return self._worker.call(problems)
        except WorkerDied as error:
            raise WorkerLost(str(error)) from error

    def close(self) -> None:
        if self._worker is not None:
            self._worker.kill()
        self._thread.shutdown(cancel_futures=True)
        if self._worker is not None:
            self._worker.close()


def local_workers(settings: SearchSettings, processes: int) -> list[Callable[[], EngineWorker]]:
    """How each worker on this machine is filled; a single one is in this process."""
    if processes == 1:
        return [lambda: InProcessWorker(EngineSearch.open(settings))]
    return [lambda share=share: SubprocessWorker(settings, share) for share in gpu_shares(processes)]


class _WorkerSlot:
    """A worker with what it holds."""

    def __init__(self, start: Callable[[], EngineWorker]):
        self._start = start
        self.held: set[str] = set()
        self.worker = start()
        self.losses = 0
        """Since its last tree."""
        self.ready = False
        """Whether it ever answered; until then it holds nothing that others could be doing."""
        self.asked_at = 0.0
        """When it was told to go on, by the monotonic clock."""

    def restart(self) -> None:
        self.worker.close()
        self.worker, self.ready = self._start(), False


_Running = dict["Future[SearchProgress]", _WorkerSlot]
"""Each worker's call under way, with the slot of the worker."""


def drive(
    factories: Sequence[Callable[[], EngineWorker]], ledger: Ledger, in_flight: int, silence_s: float = math.inf
) -> Iterator[SearchProgress]:
    """Search what the ledger lacks, at most `in_flight` trees per worker.

    Yields the progress of each round, and empty progress while waiting. A worker that is silent for `silence_s` counts
    as lost.

    Raises:
        UserError: E614 if a worker is lost again and again, and whatever a worker raises.
    """
    if ledger.done:
        return
    share = min(in_flight, math.ceil((ledger.total - ledger.existing) / len(factories)))
    slots = [_WorkerSlot(start) for start in factories]
    running: _Running = {}
    try:
        while not ledger.done:
            for slot in slots:
                if slot not in running.values():
                    _advance(slot, ledger, share, running)
            if not running:
                time.sleep(_POLL_S)
            finished, _ = wait(running, timeout=_PATIENCE_S, return_when=FIRST_COMPLETED)
            if not finished:
                yield SearchProgress()
            for future in finished:
                yield _taken(running.pop(future), future, ledger)
            for future in _silent(running, silence_s):
                _lose(running.pop(future), f"it said nothing for {silence_s:,g} s (heartbeat_s)", ledger)
    finally:
        for slot in slots:
            slot.worker.close()


def _advance(slot: _WorkerSlot, ledger: Ledger, share: int, running: _Running) -> None:
    problems = ledger.take(share - len(slot.held)) if slot.ready else {}
    slot.held |= problems.keys()
    if slot.held or not slot.ready:
        slot.asked_at = time.monotonic()
        running[slot.worker.advance(problems)] = slot


def _silent(running: _Running, silence_s: float) -> "list[Future[SearchProgress]]":
    since = time.monotonic() - silence_s
    return [future for future, slot in running.items() if slot.asked_at < since and not future.done()]


def _taken(slot: _WorkerSlot, future: "Future[SearchProgress]", ledger: Ledger) -> SearchProgress:
    """What a worker made, stored; nothing where the worker was lost, which is then filled again."""
    try:
        result = future.result()
    except WorkerLost as error:
        _lose(slot, str(error), ledger)
        return SearchProgress()
    for key, value in result.trees:
        ledger.store(key, value)
        slot.held.discard(key)
    slot.losses = 0 if result.trees else slot.losses
    slot.ready = True
    return result


def _lose(slot: _WorkerSlot, why: str, ledger: Ledger) -> None:
    """Give what a lost worker held back and start it again; an error where that has not helped before."""
    slot.losses += 1
    if slot.losses == _LOSSES:
        raise UserError.of(
            "E614",
            f"a process of the search was lost {_LOSSES} times before it finished a tree: {why}",
            "its log may say why; if memory ran out, lower trees_in_flight or processes. "
            "Finished trees are kept, and the same command goes on from there",
        )
    ledger.put_back(sorted(slot.held))
    slot.held.clear()
    slot.restart()
