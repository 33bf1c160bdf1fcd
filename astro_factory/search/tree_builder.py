"""A tree while it grows: nodes with what a policy needs to know of them, and the samples it is made from.

A policy is a generator over a `TreeBuilder`: it yields requests to the engine and is sent their samples, so that a
driver can advance thousands of trees at once. Nothing here depends on other trees or on the order of work.
"""

import hashlib
from array import array
from collections.abc import Generator
from dataclasses import dataclass

from astro_factory.core.canonical import seed_for
from astro_factory.core.problems import Problem
from astro_factory.core.trees import Call, Tree, TreeNode
from astro_factory.core.verdicts import Outcome
from astro_factory.engines.base import Request, Sample
from astro_factory.search.config import SamplingConfig
from astro_factory.search.prompts import Prompts
from astro_factory.search.step_parser import ParsedStep, ParsedSteps, StepParser
from astro_factory.verifiers.base import Verifier

PolicyRun = Generator[list[Request], list[list[Sample]], None]
"""A growing tree: gives requests, takes their samples in the same order, ends when the tree is done."""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """`count` samples that go on from a node."""

    node: int
    purpose: str
    """`step`, `rollout` or `evaluation`; part of the seeds."""
    count: int
    max_tokens: int
    stop: tuple[str, ...]
    prompt_ids: tuple[int, ...] | None = None
    """What is asked instead of going on with the node's own steps."""


class TreeBuilder:
    """The tree of one problem, with a policy's notes beside each node."""

    def __init__(
        self,
        problem: Problem,
        verifier: Verifier,
        prompts: Prompts,
        config: SamplingConfig,
        seed: int,
        longest: int | None = None,
    ):
        """`longest` is the engine's context, prompt and sample together, in tokens; without it there is no limit."""
        self.step_parser = StepParser(problem, verifier, config.delimiter)
        self.tree = Tree(problem, [TreeNode(-1, "", facts=self.step_parser.root_facts())])
        self.config = config
        self._seed = seed
        self._longest = longest
        self._prompts = prompts
        self._prompt_ids = {0: prompts.root(problem)}
        """Of the nodes that were gone on from."""
        self._asked: dict[tuple[str, int], int] = {}
        self.children: list[list[int]] = [[]]
        self.depths = [0]
        self.sampled = [0]
        """How often a step was sampled from its parent, by itself or as part of a rollout."""
        self.logprobs: list[list[float]] = [[]]
        """Mean token log-probability of each of these samples, where it was measured."""
        self.scores: list[list[float]] = [[]]
        """Scores of the rollouts through a node."""

    def steps(self, node: int) -> list[str]:
        """Texts of a node's path."""
        return [self.tree.nodes[index].text for index in self.tree.path(node)]

    def sample(self, *queries: SampleRequest) -> Generator[list[Request], list[list[Sample]], list[list[Sample]]]:
        """Samples for each ask; every one is recorded as a call of the tree.

        Where the context has no room for another token there are none: the path ends there.
        """
        requests = [self._request(query) for query in queries]
        open_ = [self._longest is None or len(request.prompt_ids) < self._longest for request in requests]
        sent = [request for request, fits in zip(requests, open_, strict=True) if fits]
        answers = iter((yield sent) if sent else ())
        results = [next(answers) if fits else [] for fits in open_]
        for query, request, samples in zip(queries, requests, results, strict=True):
            prompt = prompt_digest(request)
            for seed, sample in zip(request.seeds, samples, strict=False):
                self.tree.calls.append(Call(query.node, query.purpose, seed, prompt, sample.ids, sample.logprobs))
                self.tree.tokens += len(sample.ids)
        return results

    def _request(self, query: SampleRequest) -> Request:
        first = self._asked.get((query.purpose, query.node), 0)
        self._asked[query.purpose, query.node] = first + query.count
        name = (self._seed, "search", self.tree.problem.id, query.purpose, query.node)
        seeds = tuple(seed_for(*name, index) for index in range(first, first + query.count))
        prompt_ids = self._prompt(query.node) if query.prompt_ids is None else query.prompt_ids
        return Request(prompt_ids, seeds, query.max_tokens, self.config.temperature, query.stop)

    def _prompt(self, node: int) -> tuple[int, ...]:
        if node not in self._prompt_ids:
            found = self.tree.nodes[node]
            self._prompt_ids[node] = self._prompt(found.parent) + self._prompts.step(found.text)
        return self._prompt_ids[node]

    def evaluation_prompt(self, node: int, template: str) -> tuple[int, ...]:
        """The ids of a question about the state after a node."""
        return self._prompts.evaluation(self.tree.problem, self.steps(node), template)

    def too_deep(self, node: int) -> bool:
        """Whether a path may not go on from a node."""
        return self.depths[node] >= self.config.max_depth

    def read(self, node: int, sample: Sample) -> ParsedSteps:
        """The steps of a sample that went on from a node."""
        limit = self.config.max_depth - self.depths[node]
        return self.step_parser.read(self.steps(node), sample.text, sample.finish, limit)

    def line_logprobs(self, sample: Sample) -> list[float]:
        """Mean token log-probability of each line of a sample."""
        return self._prompts.line_logprobs(sample.ids, sample.logprobs)

    def enter(self, start: int, parsed: ParsedSteps, logprobs: list[float], merge: bool = True) -> list[int]:
        """Put parsed steps below a node, one under the other; returns their nodes.

        `logprobs` are those of the sample's lines, or empty where no policy needs them.
        """
        path = []
        for step, line in zip(parsed.steps, parsed.lines, strict=True):
            start = self.child(start, step, merge)
            self.sampled[start] += 1
            if logprobs:
                self.logprobs[start].append(logprobs[line])
            path.append(start)
        return path

    def child(self, parent: int, step: ParsedStep, merge: bool = True) -> int:
        """The child with this step; made where there is none, or always without `merge`."""
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
        self.sampled.append(0)
        self.logprobs.append([])
        self.scores.append([])
        return index

    def ends(self) -> tuple[int, int]:
        """How many right ends there are, and how many different wrong answers."""
        terminals = [node for node in self.tree.nodes if node.terminal]
        right = sum(node.verdict == Outcome.CORRECT for node in terminals)
        wrong = {node.answer for node in terminals if node.verdict == Outcome.INCORRECT}
        return right, len(wrong)


def prompt_digest(request: Request) -> str:
    """First half of the SHA-256 of the ids, little-endian 32-bit: tells prompts apart without storing them."""
    return hashlib.sha256(array("i", request.prompt_ids).tobytes()).hexdigest()[:32]
