"""The engine protocol: token ids in; token ids, text, log-probabilities and finish reason out."""

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from astro_factory.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Request:
    """`len(seeds)` samples of one prompt. A sample depends on its prompt, settings and seed, not on its batch."""

    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]
    max_tokens: int
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    """Strings that end a sample; the stop string is part of `ids` but not of `text`."""
    processed_logprobs: bool = False
    """Whether log-probabilities are those of the sampling temperature instead of temperature 1."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion."""

    ids: tuple[int, ...]
    text: str
    """Decoded without special tokens, and without the stop string that ended it."""
    logprobs: tuple[float, ...]
    """Of each sampled id, at temperature 1 unless the request says otherwise; float32 values, as trees store them."""
    finish: Literal["stop", "eos", "length"]


class Engine(ABC):
    """Generates text from one model. Use as a context manager."""

    tokenizer: Any
    """The transformers tokenizer of the model, for `core.chat`."""
    max_model_len: int

    @abstractmethod
    def generate(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """Samples for each request, in order, one for each seed."""

    def stream(self) -> "Stream":
        """Like `generate`, but requests can be added while others are in flight."""
        return BatchStream(self)

    def close(self) -> None:  # noqa: B027
        """Free the engine's memory."""

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Stream(ABC):
    """Requests in flight. Samples are the same as those of `Engine.generate`."""

    @abstractmethod
    def add(self, ticket: Any, request: Request) -> None:
        """Submit a request; `take` returns its samples with the ticket."""

    @abstractmethod
    def take(self) -> list[tuple[Any, list[Sample]]]:
        """Wait for at least one request and return all that are done; empty if nothing is in flight."""


class BatchStream(Stream):
    """For an engine that only generates whole batches: requests added since the last `take` are the next batch."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._added: list[tuple[Any, Request]] = []

    def add(self, ticket: Any, request: Request) -> None:
        self._added.append((ticket, request))

    def take(self) -> list[tuple[Any, list[Sample]]]:
        batch, self._added = self._added, []
        if not batch:
            return []
        return list(zip([ticket for ticket, _ in batch], self._engine.generate([r for _, r in batch]), strict=True))


class SampleStream(Stream):
    """For an engine that works on single samples: a request is done when its last sample is.

    A subclass starts numbered samples in `_begin` and returns finished ones from `_finished`.
    """

    def __init__(self) -> None:
        self._in_flight: dict[int, tuple[Any, int]] = {}
        """Number of a sample to its ticket and its index in the request."""
        self._collected = SampleCollector()
        self._count = 0

    @abstractmethod
    def _begin(self, number: int, request: Request, seed: int) -> None:
        """Submit one sample."""

    @abstractmethod
    def _finished(self) -> Iterable[tuple[int, Sample]]:
        """Wait for at least one sample in flight and return those that are done."""

    def add(self, ticket: Any, request: Request) -> None:
        self._collected.expect(ticket, len(request.seeds))
        for index, seed in enumerate(request.seeds):
            self._in_flight[self._count] = ticket, index
            self._begin(self._count, request, seed)
            self._count += 1

    def take(self) -> list[tuple[Any, list[Sample]]]:
        while self._in_flight and not self._collected.done:
            for number, sample in self._finished():
                self._collected.put(*self._in_flight.pop(number), sample)
        return self._collected.take()


class SampleCollector:
    """Collects the samples of each request, which arrive in any order."""

    def __init__(self) -> None:
        self._counts: dict[Any, int] = {}
        self._samples: dict[Any, dict[int, Sample]] = {}
        self.done: list[Any] = []
        """Tickets of the complete requests, in the order in which they were completed."""

    def expect(self, ticket: Any, count: int) -> None:
        """Register a request of `count` samples."""
        self._counts[ticket], self._samples[ticket] = count, {}
        if not count:
            self.done.append(ticket)

    def put(self, ticket: Any, index: int, sample: Sample) -> None:
        self._samples[ticket][index] = sample
        if len(self._samples[ticket]) == self._counts[ticket]:
            self.done.append(ticket)

    def take(self) -> list[tuple[Any, list[Sample]]]:
        """Remove and return the complete requests."""
        done, self.done = self.done, []
        found = [(ticket, self._counts.pop(ticket), self._samples.pop(ticket)) for ticket in done]
        return [(ticket, [samples[index] for index in range(count)]) for ticket, count, samples in found]


def gather(stream: Stream, requests: Iterable[tuple[int, Request]]) -> list[list[Sample]]:
    """The samples of all numbered requests, in the order of their numbers."""
    done = {}
    for number, request in requests:
        stream.add(number, request)
    while taken := stream.take():
        done.update(taken)
    return [done[number] for number in sorted(done)]


def as_float32(values: Iterable[float]) -> tuple[float, ...]:
    """The values rounded to float32."""
    return tuple(array("f", values))


def room_for(request: Request, max_model_len: int) -> int:
    """How many tokens a sample of this request may have: `max_tokens`, or what is left of the context.

    Raises:
        UserError: E601 if the prompt leaves no room for a single token.
    """
    length = len(request.prompt_ids)
    if length >= max_model_len:
        raise UserError.of(
            "E601",
            f"a prompt of {length} tokens leaves no room in the engine's context of {max_model_len} tokens",
            "raise the engine's max_model_len (up to what the model allows) or shorten the problem",
        )
    return min(request.max_tokens, max_model_len - length)
