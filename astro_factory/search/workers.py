"""Workers that search: one per engine, in this process, in other processes of this machine, or as Ray actors.

`drive` hands problems from the ledger to the workers and stores the finished trees. A worker whose process dies or
hangs is restarted and its problems return to the ledger; repeated losses without a finished tree end the search.
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
"""Interval of checks for trees that other processes are building."""
_MAX_LOSSES = 3
"""Losses of one worker in a row, without a finished tree in between, that end the search."""
_WAIT_S = 1.0
"""Longest wait for the workers before control returns to the caller, which sends a heartbeat."""


class WorkerLost(Exception):
    """The process behind a worker ended during a call."""


class EngineWorker(ABC):
    """One engine with the trees it builds."""

    @abstractmethod
    def advance(self, problems: dict[str, Problem]) -> "Future[SearchProgress]":
        """Start these problems and continue the others; the future raises `WorkerLost` if the process has ended."""

    def is_waiting(self) -> bool:
        """Whether it waits for room on a machine; until then it cannot answer."""
        return False

    @abstractmethod
    def close(self) -> None: ...


class InProcessWorker(EngineWorker):
    """Works in this process."""

    def __init__(self, search: EngineSearch):
        self._search = search

    def advance(self, problems: dict[str, Problem]) -> "Future[SearchProgress]":
        future: Future[SearchProgress] = Future()
        future.set_result(self._search.advance(problems))
        return future

    def close(self) -> None:
        self._search.close()


class SubprocessWorker(EngineWorker):
    """Works in a process of this machine, driven by its own thread."""

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
    """A factory for each worker on this machine; a single worker runs in this process."""
    if processes == 1:
        return [lambda: InProcessWorker(EngineSearch.open(settings))]
    return [lambda share=share: SubprocessWorker(settings, share) for share in gpu_shares(processes)]


class _WorkerSlot:
    """A worker and the problems assigned to it."""

    def __init__(self, start: Callable[[], EngineWorker]):
        self._start = start
        self.assigned: set[str] = set()
        self.worker = start()
        self.losses = 0
        """Losses since its last finished tree."""
        self.ready = False
        """Whether it has answered once. Until then it gets no problems, because others could work on them."""
        self.called_at = 0.0
        """When its current call started, by the monotonic clock."""

    def restart(self) -> None:
        self.worker.close()
        self.worker, self.ready = self._start(), False


_Calls = dict["Future[SearchProgress]", _WorkerSlot]
"""The calls in progress, each with its worker's slot."""


def drive(
    factories: Sequence[Callable[[], EngineWorker]], ledger: Ledger, in_flight: int, hang_timeout_s: float = math.inf
) -> Iterator[SearchProgress]:
    """Build the trees that the ledger lacks, at most `in_flight` at a time per worker.

    Yields the progress of each round, and empty progress while waiting. A worker that does not answer for
    `hang_timeout_s` counts as lost.

    Raises:
        UserError: E614 if a worker is lost repeatedly, and any error of a worker.
    """
    if ledger.done:
        return
    share = min(in_flight, math.ceil((ledger.total - ledger.existing) / len(factories)))
    slots = [_WorkerSlot(start) for start in factories]
    calls: _Calls = {}
    try:
        while not ledger.done:
            for slot in slots:
                if slot not in calls.values():
                    _start_call(slot, ledger, share, calls)
            if not calls:
                time.sleep(_POLL_S)
            finished, _ = wait(calls, timeout=_WAIT_S, return_when=FIRST_COMPLETED)
            if not finished:
                yield SearchProgress()
            for future in finished:
                yield _collect(calls.pop(future), future, ledger)
            for slot in calls.values():
                if not slot.ready and slot.worker.is_waiting():
                    slot.called_at = time.monotonic()
            for future in _hanging(calls, hang_timeout_s):
                _replace(calls.pop(future), f"no answer for {hang_timeout_s:,g} s (heartbeat_s)", ledger)
    finally:
        for slot in slots:
            slot.worker.close()


def _start_call(slot: _WorkerSlot, ledger: Ledger, share: int, calls: _Calls) -> None:
    problems = ledger.take(share - len(slot.assigned)) if slot.ready else {}
    slot.assigned |= problems.keys()
    if slot.assigned or not slot.ready:
        slot.called_at = time.monotonic()
        calls[slot.worker.advance(problems)] = slot


def _hanging(calls: _Calls, hang_timeout_s: float) -> "list[Future[SearchProgress]]":
    since = time.monotonic() - hang_timeout_s
    return [future for future, slot in calls.items() if slot.called_at < since and not future.done()]


def _collect(slot: _WorkerSlot, future: "Future[SearchProgress]", ledger: Ledger) -> SearchProgress:
    """Store the trees of a finished call; empty progress if the worker was lost, which is then restarted."""
    try:
        result = future.result()
    except WorkerLost as error:
        _replace(slot, str(error), ledger)
        return SearchProgress()
    for key, value in result.trees:
        ledger.store(key, value)
        slot.assigned.discard(key)
    slot.losses = 0 if result.trees else slot.losses
    slot.ready = True
    return result


def _replace(slot: _WorkerSlot, why: str, ledger: Ledger) -> None:
    """Return a lost worker's problems to the ledger and restart it; an error if that has not helped before."""
    slot.losses += 1
    if slot.losses == _MAX_LOSSES:
        raise UserError.of(
            "E614",
            f"a search process was lost {_MAX_LOSSES} times before it finished a tree: {why}",
            "see the log for the reason; if memory ran out, lower trees_in_flight or processes, then run the command "
            "again. Finished trees are kept",
        )
    ledger.put_back(sorted(slot.assigned))
    slot.assigned.clear()
    slot.restart()
