"""Builds one tree: its nodes with what a policy needs to know about them, and the samples it is built from.

A policy is a generator over a `TreeBuilder`: it yields engine requests and is sent their samples, so that a driver can
advance thousands of trees at once. Nothing here depends on other trees or on timing.
"""

import hashlib
from array import array
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from astro_factory.core.canonical import seed_for
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.trees import Call, Tree, TreeNode
from astro_factory.core.verdicts import Outcome
from astro_factory.engines.base import Request, Sample
from astro_factory.search.config import SamplingConfig
from astro_factory.search.prompts import Prompts
from astro_factory.search.step_parser import ParsedStep, ParsedSteps, StepParser
from astro_factory.verifiers.base import Verifier

T = TypeVar("T")
Sampling = Generator[list[Request], list[list[Sample]], T]
"""A generator that yields requests, is sent their samples in the same order, and returns a `T`."""
PolicyRun = Sampling[None]
"""A tree under construction; the generator ends when the tree is done."""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """`count` samples that continue a node."""

    node: int
    purpose: str
    """`step`, `rollout` or `evaluation`; part of the seeds."""
    count: int
    max_tokens: int
    stop: tuple[str, ...]
    prompt_ids: tuple[int, ...] | None = None
    """Prompt in place of the node's own steps."""


class TreeBuilder:
    """The tree of one problem, with bookkeeping for policies beside each node."""

    def __init__(
        self,
        problem: Problem,
        verifier: Verifier,
        prompts: Prompts,
        config: SamplingConfig,
        seed: int,
        max_model_len: int | None = None,
    ):
        """`max_model_len` is the engine's context (prompt and sample together) in tokens; None for no limit."""
        self.step_parser = StepParser(problem, verifier, config.step_layout)
        self.tree = Tree(problem, [TreeNode(-1, "", facts=self.step_parser.root_facts())])
        self.config = config
        self._limits = config.limits()
        self._restores_stops = config.steps is not None and not config.steps.has_markers
        self._seed = seed
        self._max_model_len = max_model_len
        self._prompts = prompts
        self._prompt_ids = {0: prompts.root(problem)}
        """Cached prompts of nodes."""
        self._requested: dict[tuple[str, int], int] = {}
        """Samples requested so far, by purpose and node."""
        self.children: list[list[int]] = [[]]
        self.depths = [0]
        self.sample_counts = [0]
        """How often each step was sampled from its parent, on its own or as part of a rollout."""
        self.logprobs: list[list[float]] = [[]]
        """Mean token log-probability of each of these samples, where it was measured."""
        self.scores: list[list[float]] = [[]]
        """Scores of the rollouts through a node, or of the votes on it, or the verifier's value."""

    def steps(self, node: int) -> list[str]:
        """Texts of the path to a node."""
        return [self.tree.nodes[index].text for index in self.tree.path(node)]

    def step_request(self, node: int, count: int, max_tokens: int) -> SampleRequest:
        """A request for single steps that continue a node."""
        layout = self.config.step_layout
        # A step that is sampled at depth d has the number d + 1.
        return SampleRequest(node, "step", count, max_tokens, layout.stops(self.depths[node] + 2))

    def sample(self, *requests: SampleRequest) -> Sampling[list[list[Sample]]]:
        """The samples for each request; every sample is recorded as a call of the tree.

        A prompt that fills the engine's context gets no samples: the path ends there. Raises `UserError` E624.
        """
        engine_requests = [self._engine_request(request) for request in requests]
        self._keep_limits(sum(len(request.seeds) for request in engine_requests))
        limit = self._max_model_len
        fits = [limit is None or len(request.prompt_ids) < limit for request in engine_requests]
        sent = [request for request, has_room in zip(engine_requests, fits, strict=True) if has_room]
        answers = iter((yield sent) if sent else ())
        results = [next(answers) if has_room else [] for has_room in fits]
        for request, engine_request, samples in zip(requests, engine_requests, results, strict=True):
            prompt = prompt_digest(engine_request)
            if request.purpose == "step" and self._restores_stops:
                samples[:] = [self._prompts.with_stop(sample, request.stop) for sample in samples]
            for seed, sample in zip(engine_request.seeds, samples, strict=False):
                self.tree.calls.append(Call(request.node, request.purpose, seed, prompt, sample.ids, sample.logprobs))
                self.tree.tokens += len(sample.ids)
        return results

    def _keep_limits(self, more: int) -> None:
        """Raises `UserError` E624 if a policy requests more samples than its config allows a tree."""
        limits = self._limits
        if limits and (len(self.tree.calls) + more > limits[0] or self.tree.tokens > limits[1]):
            raise UserError.of(
                "E624",
                f"the policy requests more for problem '{self.tree.problem.id}' than its limits of {limits[0]:,} "
                f"samples and {limits[1]:,} tokens a tree",
                "raise max_samples, let `limits` of the policy's Config return a bound that holds, or sample less",
            )

    def _engine_request(self, request: SampleRequest) -> Request:
        first = self._requested.get((request.purpose, request.node), 0)
        self._requested[request.purpose, request.node] = first + request.count
        name = (self._seed, "search", self.tree.problem.id, request.purpose, request.node)
        seeds = tuple(seed_for(*name, index) for index in range(first, first + request.count))
        prompt_ids = self._prompt(request.node) if request.prompt_ids is None else request.prompt_ids
        return Request(prompt_ids, seeds, request.max_tokens, self.config.temperature, request.stop)

    def _prompt(self, index: int) -> tuple[int, ...]:
        if index not in self._prompt_ids:
            node = self.tree.nodes[index]
            number = 0 if self.config.steps is None else self.depths[index]
            self._prompt_ids[index] = self._prompt(node.parent) + self._prompts.step(node.text, number)
        return self._prompt_ids[index]

    def evaluation_prompt(self, node: int, template: str) -> tuple[int, ...]:
        """Token ids of a question about the state after a node."""
        return self._prompts.evaluation(self.tree.problem, self.steps(node), template)

    def ask_verifier(self, nodes: Sequence[int]) -> None:
        """Add the verifier's value of each node's state, where it has one, to the node's scores. Raises E622."""
        for node in nodes:
            if (value := self.step_parser.value(self.steps(node))) is not None:
                self.scores[node].append(value)

    def at_max_depth(self, node: int) -> bool:
        """Whether a node may not be continued because of `max_depth`."""
        return self.depths[node] >= self.config.max_depth

    def parse(self, node: int, sample: Sample) -> ParsedSteps:
        """The steps of a sample that continues a node."""
        limit = self.config.max_depth - self.depths[node]
        return self.step_parser.parse(self.steps(node), sample.text, sample.finish, limit)

    def line_logprobs(self, sample: Sample) -> list[float]:
        """Mean token log-probability of each line of a sample."""
        return self._prompts.line_logprobs(sample.ids, sample.logprobs, sample.text)

    def add_path(self, start: int, parsed: ParsedSteps, logprobs: list[float], merge: bool = True) -> list[int]:
        """Add parsed steps below a node, each as a child of the one before; returns their nodes.

        `logprobs` are those of the sample's lines, or empty where the policy does not need them.
        """
        path = []
        for step, line in zip(parsed.steps, parsed.lines, strict=True):
            start = self.add_child(start, step, merge)
            self.sample_counts[start] += 1
            if logprobs:
                self.logprobs[start].append(logprobs[line])
            path.append(start)
        return path

    def add_child(self, parent: int, step: ParsedStep, merge: bool = True) -> int:
        """Add a child with this step; with `merge`, an existing child with an equal step is returned instead."""
        if merge:
            for index in self.children[parent]:
                if self.tree.nodes[index].text == step.text:
                    return index
        node = TreeNode(parent, step.text, closing=step.closing, facts=step.facts)
        if step.verdict is not None:
            node.terminal, node.verdict, node.answer = True, str(step.verdict.outcome), step.verdict.answer
        index = len(self.tree.nodes)
        self.tree.nodes.append(node)
        self.children[parent].append(index)
        self.children.append([])
        self.depths.append(self.depths[parent] + 1)
        self.sample_counts.append(0)
        self.logprobs.append([])
        self.scores.append([])
        return index

    def count_terminals(self) -> tuple[int, int]:
        """Number of correct terminals, and number of different wrong answers."""
        terminals = [node for node in self.tree.nodes if node.terminal]
        correct = sum(node.verdict == Outcome.CORRECT for node in terminals)
        wrong = {node.answer for node in terminals if node.verdict == Outcome.INCORRECT}
        return correct, len(wrong)


def prompt_digest(request: Request) -> str:
    """First half of the SHA-256 of the prompt ids (little-endian int32): identifies a prompt without storing it."""
    return hashlib.sha256(array("i", request.prompt_ids).tobytes()).hexdigest()[:32]
