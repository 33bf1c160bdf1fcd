"""Advances many trees at once: each round collects what all growing trees ask and gives it to the engine as one batch.

The order of everything is that of the problems: a tree that is done makes room for the next problem, and no timing
shows in the result. With an engine whose samples do not depend on their batch mates, neither do the trees.
"""

from collections import deque
from collections.abc import Callable, Sequence
from importlib import import_module

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.trees import Tree
from astro_factory.engines.base import Engine, Request
from astro_factory.search.config import SamplingConfig
from astro_factory.search.growth import Growing, Growth
from astro_factory.search.prompts import Prompts
from astro_factory.verifiers import get_verifier

Policy = Callable[[Growth, SamplingConfig], Growing]


def policy_for(config: SamplingConfig) -> Policy:
    """The function that grows trees for a `config.PolicyConfig`.

    Raises:
        UserError: E611 if a policy of one's own cannot be loaded.
    """
    if config.kind != "python":
        return import_module(f"astro_factory.search.{config.kind}").grow
    module, _, name = config.target.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError.of(
            "E611",
            f"the search policy '{config.target}' cannot be loaded ({error})",
            "install its package, and write target as package.module:function",
        ) from error


class Search:
    """The trees of some problems; `advance` until `done`."""

    def __init__(self, engine: Engine, config: SamplingConfig, problems: Sequence[Problem], seed: int, in_flight: int):
        """At most `in_flight` trees grow at the same time."""
        self._engine, self._config, self._seed = engine, config, seed
        self._grow = policy_for(config)
        self._prompts = Prompts(engine.tokenizer, config)
        self._waiting = deque(problems)
        self._in_flight = in_flight
        self._growing: list[tuple[Growth, Growing, list[Request]]] = []

    @property
    def done(self) -> bool:
        return not (self._waiting or self._growing)

    def advance(self) -> list[Tree]:
        """One round of the engine; returns the trees that are done with it."""
        finished = self._start()
        answers = iter(self._engine.generate([request for *_, requests in self._growing for request in requests]))
        going_on = []
        for growth, growing, requests in self._growing:
            try:
                going_on.append((growth, growing, growing.send([next(answers) for _ in requests])))
            except StopIteration:
                finished.append(growth.tree)
        self._growing = going_on
        return finished

    def _start(self) -> list[Tree]:
        """Take up waiting problems; returns trees that are done without asking anything."""
        finished = []
        while self._waiting and len(self._growing) < self._in_flight:
            problem = self._waiting.popleft()
            growth = Growth(problem, get_verifier(problem.verifier), self._prompts, self._config, self._seed)
            growing = self._grow(growth, self._config)
            try:
                self._growing.append((growth, growing, next(growing)))
            except StopIteration:
                finished.append(growth.tree)
        return finished
