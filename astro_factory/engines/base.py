"""The engine protocol: token ids in; token ids, text, log-probabilities and finish reason out."""

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from astro_factory.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Request:
    """`len(seeds)` samples of one prompt. A sample depends on its prompt, settings and seed, not on its batch mates."""

    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]
    max_tokens: int
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    """Strings that end a sample; the stop string is part of `ids` but not of `text`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion."""

    ids: tuple[int, ...]
    text: str
    """Decoded without special tokens, and without the stop string that ended it."""
    logprobs: tuple[float, ...]
    """Of each sampled id, under the sampling temperature of 1; values of float32, as trees store them."""
    finish: Literal["stop", "eos", "length"]


class Engine(ABC):
    """Generates text from one model. Use as a context manager."""

    tokenizer: object
    """The transformers tokenizer of the model, for `core.chat`."""
    max_model_len: int

    @abstractmethod
    def generate(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """Samples for each request, in order, one for each seed."""

    def stream(self) -> "Stream":
        """The same, with requests that may be added while others are under way."""
        return BatchStream(self)

    def close(self) -> None:  # noqa: B027
        """Give memory back."""

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Stream(ABC):
    """Requests in flight. The samples are those that `Engine.generate` gives."""

    @abstractmethod
    def add(self, ticket: Any, request: Request) -> None:
        """Put a request in flight; its samples come back under the ticket."""

    @abstractmethod
    def take(self) -> list[tuple[Any, list[Sample]]]:
        """Work until something is done, and give what is done; nothing where nothing is in flight."""


class BatchStream(Stream):
    """For an engine that knows only whole batches: what was added since the last one is the next."""

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
    """For an engine that has many single samples under way: requests are done as their last sample is.

    An engine begins samples in `_begin` and hands over finished ones in `_finished`, by their numbers.
    """

    def __init__(self) -> None:
        self._of: dict[int, tuple[Any, int]] = {}
        """Number of a sample under way: its ticket and its place there."""
        self._samples: dict[Any, list[Sample | None]] = {}
        self._missing: dict[Any, int] = {}
        """How many samples each request still lacks."""
        self._done: list[Any] = []
        self._count = 0

    @abstractmethod
    def _begin(self, number: int, request: Request, seed: int) -> None:
        """Put one sample in flight."""

    @abstractmethod
    def _finished(self) -> Iterable[tuple[int, Sample]]:
        """Work or wait until some sample in flight is done, and give what is done."""

    def add(self, ticket: Any, request: Request) -> None:
        self._samples[ticket], self._missing[ticket] = [None] * len(request.seeds), len(request.seeds)
        if not request.seeds:
            self._done.append(ticket)
        for place, seed in enumerate(request.seeds):
            self._of[self._count] = ticket, place
            self._begin(self._count, request, seed)
            self._count += 1

    def take(self) -> list[tuple[Any, list[Sample]]]:
        while self._of and not self._done:
            for number, sample in self._finished():
                ticket, place = self._of.pop(number)
                self._samples[ticket][place] = sample
                self._missing[ticket] -= 1
                if not self._missing[ticket]:
                    self._done.append(ticket)
        done, self._done = self._done, []
        for ticket in done:
            del self._missing[ticket]
        return [(ticket, self._samples.pop(ticket)) for ticket in done]


def gather(stream: Stream, requests: Iterable[tuple[int, Request]]) -> list[list[Sample]]:
    """The samples of numbered requests, by number, when all are done."""
    done = {}
    for number, request in requests:
        stream.add(number, request)
    while taken := stream.take():
        done.update(taken)
    return [done[number] for number in sorted(done)]


def as_float32(values: Iterable[float]) -> tuple[float, ...]:
    """The nearest values of float32."""
    return tuple(array("f", values))


def room_for(request: Request, max_model_len: int) -> int:
    """How many tokens a sample of this request can have: those asked for, as far as the context reaches.

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
