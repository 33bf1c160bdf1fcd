"""Advances many trees at once: the requests of all trees are in flight together, and each tree resumes when its own
samples have arrived.

No tree waits for another, and timing does not affect a tree: its requests and their seeds depend on the tree alone.
"""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.trees import Tree
from astro_factory.core.user_code import load_target
from astro_factory.engines.base import Engine, Request, Sample
from astro_factory.search.config import POLICIES, PolicyConfig, PythonPolicyConfig
from astro_factory.search.prompts import Prompts
from astro_factory.search.sample_checks import check_samples
from astro_factory.search.tree_builder import PolicyRun, TreeBuilder
from astro_factory.verifiers import get_verifier

Policy = Callable[[TreeBuilder, PolicyConfig], PolicyRun]

_RESPONSES_PER_CALL = 256
"""`advance` returns after this many responses even if no tree is done, so that the caller can report progress."""


def policy_for(config: PolicyConfig) -> Policy:
    """The function that builds trees for a policy's configuration.

    Raises:
        UserError: E611 if a policy of another package or of the user cannot be loaded.
    """
    if isinstance(config, PythonPolicyConfig):
        return load_target(config.target, "E611", f"search policy '{config.target}'")
    return POLICIES.module(config.kind).grow


@dataclass(slots=True)
class _PendingTree:
    """A tree that waits for samples."""

    builder: TreeBuilder
    run: PolicyRun
    requests: list[Request] = field(default_factory=list)
    responses: dict[int, list[Sample]] = field(default_factory=dict)
    """Samples that have arrived, by position of their request."""


class Search:
    """Builds trees side by side on one engine."""

    def __init__(self, engine: Engine, config: PolicyConfig, seed: int):
        self._config, self._seed = config, seed
        self._policy = policy_for(config)
        self._prompts = Prompts(engine.tokenizer, config)
        self._max_model_len = engine.max_model_len
        self._stream = engine.stream()
        self._pending: dict[str, _PendingTree] = {}
        self.tokens = self.calls = 0
        """Sampled so far, over all trees."""
        self.samples = self.split_samples = 0
        """Samples of finished trees, and those among them that the step format splits; see `StepParser`."""
        self.unsplit = ""
        """Start of a sample that the step format does not split."""

    @property
    def in_progress(self) -> int:
        """Number of trees under construction."""
        return len(self._pending)

    def advance(self, problems: Mapping[str, Problem]) -> dict[str, Tree]:
        """Start trees for these problems, then work until a tree is done or many samples have arrived.

        Returns:
            The finished trees, by the keys of their problems.

        Raises:
            UserError: E612, E613 or E615 if the engine returns invalid samples or fails, and its own errors.
        """
        finished: dict[str, Tree] = {}
        for key, problem in problems.items():
            builder = TreeBuilder(
                problem, get_verifier(problem.verifier), self._prompts, self._config, self._seed, self._max_model_len
            )
            self._pending[key] = _PendingTree(builder, self._policy(builder, self._config))
        for key in problems:
            if tree := self._resume(key, None):
                finished[key] = tree
        received = 0
        while self._pending and not finished and received < _RESPONSES_PER_CALL:
            for (key, index), samples in self._receive():
                pending = self._pending[key]
                pending.responses[index] = check_samples(pending.requests[index], samples)
                self.tokens, self.calls = self.tokens + sum(len(s.ids) for s in samples), self.calls + len(samples)
                received += 1
                count = len(pending.requests)
                if len(pending.responses) == count:
                    responses = [pending.responses[position] for position in range(count)]
                    if tree := self._resume(key, responses):
                        finished[key] = tree
        return finished

    def _resume(self, key: str, responses: list[list[Sample]] | None) -> Tree | None:
        """Send a tree its samples (None at the start) and submit its next requests; returns the tree if it is done."""
        pending = self._pending[key]
        try:
            requests = next(pending.run) if responses is None else pending.run.send(responses)
            while not requests:
                requests = pending.run.send([])
        except StopIteration:
            del self._pending[key]
            parser = pending.builder.step_parser
            self.samples, self.split_samples = self.samples + parser.samples, self.split_samples + parser.split_samples
            self.unsplit = self.unsplit or parser.unsplit
            return pending.builder.tree
        pending.requests, pending.responses = requests, {}
        for index, request in enumerate(requests):
            self._stream.add((key, index), request)
        return None

    def _receive(self) -> list[tuple[tuple[str, int], list[Sample]]]:
        try:
            return self._stream.take()
        except UserError:
            raise
        except Exception as error:
            traceback.print_exc()
            raise UserError.of(
                "E615",
                f"the engine failed: {type(error).__name__}: {error}",
                "see the traceback in the stage's log, then run the command again; finished trees are kept",
            ) from error
