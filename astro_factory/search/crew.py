"""Who searches: one seat for each engine, in this process, in processes of this machine, or in Ray's actors.

`drive` deals problems from the ledger to the seats and stores what comes back. A seat whose process is lost or hangs is
filled again, and its problems return to the ledger; one that is lost again and again without a tree ends the search.
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
from astro_factory.search.ledger import Ledger
from astro_factory.search.shards import Round, Setting, Shard

_POLL_S = 0.2
"""Between looks at trees that other processes are making."""
_LOSSES = 3
"""In a row, without a tree between them, end the search."""
_PATIENCE_S = 1.0
"""A wait for the seats is interrupted so often, so that a caller can say that it lives."""


class SeatLost(Exception):
    """The process behind a seat ended in the middle of its work."""


class Seat(ABC):
    """One engine with its growing trees."""

    @abstractmethod
    def advance(self, problems: dict[str, Problem]) -> "Future[Round]":
        """Begin these problems and go on; the future raises `SeatLost` where the process has ended."""

    @abstractmethod
    def close(self) -> None: ...


class OwnSeat(Seat):
    """In this process."""

    def __init__(self, shard: Shard):
        self._shard = shard

    def advance(self, problems: dict[str, Problem]) -> "Future[Round]":
        future: Future[Round] = Future()
        future.set_result(self._shard.advance(problems))
        return future

    def close(self) -> None:
        self._shard.close()


class ProcessSeat(Seat):
    """In a process of this machine, driven by a thread of its own."""

    def __init__(self, setting: Setting, environment: dict[str, str]):
        self._setting, self._environment = setting, environment
        self._worker: Worker | None = None
        self._thread = ThreadPoolExecutor(1)

    def advance(self, problems: dict[str, Problem]) -> "Future[Round]":
        return self._thread.submit(self._call, problems)

    def _call(self, problems: dict[str, Problem]) -> Round:
        try:
            if self._worker is None:
                self._worker = Worker("astro_factory.search.shards:advance", environment=self._environment)
                self._worker.call(self._setting)
            return self._worker.call(problems)
        except WorkerDied as error:
            raise SeatLost(str(error)) from error

    def close(self) -> None:
        if self._worker is not None:
            self._worker.kill()
        self._thread.shutdown(cancel_futures=True)
        if self._worker is not None:
            self._worker.close()


def local_seats(setting: Setting, processes: int) -> list[Callable[[], Seat]]:
    """How each seat on this machine is filled; a single one is in this process."""
    if processes == 1:
        return [lambda: OwnSeat(Shard.open(setting))]
    return [lambda share=share: ProcessSeat(setting, share) for share in gpu_shares(processes)]


class _Place:
    """A seat with what it holds."""

    def __init__(self, fill: Callable[[], Seat]):
        self._fill = fill
        self.held: set[str] = set()
        self.seat = fill()
        self.losses = 0
        """Since its last tree."""
        self.ready = False
        """Whether it ever answered; until then it holds nothing that others could be doing."""
        self.asked_at = 0.0
        """When it was told to go on, by the monotonic clock."""

    def refill(self) -> None:
        self.seat.close()
        self.seat, self.ready = self._fill(), False


def drive(
    fillers: Sequence[Callable[[], Seat]], ledger: Ledger, in_flight: int, silence_s: float = math.inf
) -> Iterator[Round]:
    """Search what the ledger lacks, at most `in_flight` trees a seat; yields each round, and empty ones while waiting.

    A seat that says nothing for `silence_s` counts as lost.

    Raises:
        UserError: E614 if a seat is lost again and again, and whatever a seat raises.
    """
    if ledger.done:
        return
    share = min(in_flight, math.ceil((ledger.total - ledger.found) / len(fillers)))
    places = [_Place(fill) for fill in fillers]
    running: dict[Future[Round], _Place] = {}
    try:
        while not ledger.done:
            for place in places:
                if place not in running.values():
                    _advance(place, ledger, share, running)
            if not running:
                time.sleep(_POLL_S)
            finished, _ = wait(running, timeout=_PATIENCE_S, return_when=FIRST_COMPLETED)
            if not finished:
                yield Round()
            for future in finished:
                yield _taken(running.pop(future), future, ledger)
            for future in _silent(running, silence_s):
                _lose(running.pop(future), f"it said nothing for {silence_s:,g} s (heartbeat_s)", ledger)
    finally:
        for place in places:
            place.seat.close()


def _advance(place: _Place, ledger: Ledger, share: int, running: "dict[Future[Round], _Place]") -> None:
    problems = ledger.take(share - len(place.held)) if place.ready else {}
    place.held |= problems.keys()
    if place.held or not place.ready:
        place.asked_at = time.monotonic()
        running[place.seat.advance(problems)] = place


def _silent(running: "dict[Future[Round], _Place]", silence_s: float) -> "list[Future[Round]]":
    since = time.monotonic() - silence_s
    return [future for future, place in running.items() if place.asked_at < since and not future.done()]


def _taken(place: _Place, future: "Future[Round]", ledger: Ledger) -> Round:
    """What a seat made, stored; nothing where the seat was lost, which is then filled again."""
    try:
        result = future.result()
    except SeatLost as error:
        _lose(place, str(error), ledger)
        return Round()
    for key, value in result.trees:
        ledger.keep(key, value)
        place.held.discard(key)
    place.losses = 0 if result.trees else place.losses
    place.ready = True
    return result


def _lose(place: _Place, why: str, ledger: Ledger) -> None:
    """Give what a lost seat held back and fill it again; an error where that has not helped before."""
    place.losses += 1
    if place.losses == _LOSSES:
        raise UserError.of(
            "E614",
            f"a process of the search was lost {_LOSSES} times before it finished a tree: {why}",
            "its log may say why; if memory ran out, lower trees_in_flight or processes. "
            "Finished trees are kept, and the same command goes on from there",
        )
    ledger.give_back(sorted(place.held))
    place.held.clear()
    place.refill()
