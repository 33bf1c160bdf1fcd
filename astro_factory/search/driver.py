"""Advances many trees at once: what the growing trees ask is in flight together, and each goes on when it has its own.

No tree waits for another, and no timing shows in a tree: what it asks and the seeds of that depend on the tree alone.
"""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.trees import Tree
from astro_factory.engines.base import Engine, Request, Sample
from astro_factory.search.config import SamplingConfig
from astro_factory.search.prompts import Prompts
from astro_factory.search.sample_checks import checked
from astro_factory.search.tree_builder import PolicyRun, TreeBuilder
from astro_factory.verifiers import get_verifier

Policy = Callable[[TreeBuilder, SamplingConfig], PolicyRun]

_ANSWERS = 256
"""After so many the caller hears of it, even if no tree is done."""


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


@dataclass(slots=True)
class _PendingTree:
    """A tree that waits for samples."""

    builder: TreeBuilder
    run: PolicyRun
    requests: list[Request] = field(default_factory=list)
    answers: list[list[Sample] | None] | None = None
    """What has come of the samples it asked for; None before it asked."""
    missing: int = 0


class Search:
    """Trees that grow side by side on one engine."""

    def __init__(self, engine: Engine, config: SamplingConfig, seed: int):
        self._config, self._seed = config, seed
        self._grow = policy_for(config)
        self._prompts = Prompts(engine.tokenizer, config)
        self._longest = engine.max_model_len
        self._stream = engine.stream()
        self._pending: dict[str, _PendingTree] = {}
        self.tokens = self.calls = 0
        """Sampled so far, for whichever tree."""

    @property
    def in_progress(self) -> int:
        """How many trees are growing."""
        return len(self._pending)

    def advance(self, problems: Mapping[str, Problem]) -> dict[str, Tree]:
        """Begin trees for these problems, then go on until some tree is done or many samples have come.

        Returns the trees that are done, by the keys that their problems came with.

        Raises:
            UserError: E612, E613 or E615 for an engine that answers wrongly or fails, beside what it raises itself.
        """
        for key, problem in problems.items():
            builder = TreeBuilder(
                problem, get_verifier(problem.verifier), self._prompts, self._config, self._seed, self._longest
            )
            self._pending[key] = _PendingTree(builder, self._grow(builder, self._config))
        finished = {key: tree for key in problems if (tree := self._go_on(key))}
        answers = 0
        while self._pending and not finished and answers < _ANSWERS:
            for (key, index), samples in self._take():
                pending = self._pending[key]
                pending.answers[index] = checked(pending.requests[index], samples)
                pending.missing -= 1
                self.tokens, self.calls = self.tokens + sum(len(s.ids) for s in samples), self.calls + len(samples)
                answers += 1
                if not pending.missing and (tree := self._go_on(key)):
                    finished[key] = tree
        return finished

    def _go_on(self, key: str) -> Tree | None:
        """Give a tree its samples and put what it asks next in flight; the tree, if it is done."""
        pending = self._pending[key]
        try:
            requests = pending.run.send(pending.answers)
            while not requests:
                requests = pending.run.send([])
        except StopIteration:
            del self._pending[key]
            return pending.builder.tree
        pending.requests, pending.answers, pending.missing = requests, [None] * len(requests), len(requests)
        for index, request in enumerate(requests):
            self._stream.add((key, index), request)
        return None

    def _take(self) -> list[tuple[tuple[str, int], list[Sample]]]:
        try:
            return self._stream.take()
        except UserError:
            raise
        except Exception as error:
            traceback.print_exc()
            raise UserError.of(
                "E615",
                f"the engine failed: {type(error).__name__}: {error}",
                "the stage's log has the traceback; finished trees are kept, and the same command goes on from there",
            ) from error
