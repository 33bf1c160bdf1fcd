"""What a stage provides for reinforcement learning: problems, how to sample, how to judge."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypedDict

from torch import nn
from transformers import PreTrainedTokenizerBase

from astro_factory.core.chat import Message, encode_prompt, encode_text
from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Verdict
from astro_factory.training.difficulty import Tally
from astro_factory.training.rollout_schedule import RoundPrompt


class GeneratedSample(Protocol):
    """One sampled response."""

    @property
    def ids(self) -> Sequence[int]: ...

    @property
    def logprobs(self) -> Sequence[float]:
        """Of each id, at the sampling temperature."""
        ...


class Generate(Protocol):
    """Samples one response for each seed of each prompt, from a model whose weights change between calls."""

    def __call__(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[Sequence[int]]
    ) -> Sequence[Sequence[GeneratedSample]]:
        """The samples in the order of prompts and seeds."""
        ...


class PromptRow(TypedDict):
    """A row of the trainer's data set."""

    prompt: list[Message]
    problem: int
    """Index of the problem."""
    copy: int
    """See `RoundPrompt.copy`."""


class Rollout(TypedDict):
    """A response as people read it."""

    problem: str
    text: str
    verdict: str
    reward: float | None


@dataclass(frozen=True)
class Task:
    """The problems and what the stage provides for them."""

    problems: list[Problem]
    judge: Callable[[Problem, str], Verdict]
    """Called from several threads if `judges` is more than 1."""
    make_generate: Callable[[nn.Module, PreTrainedTokenizerBase], Generate]
    """Returns the function that samples from a model."""
    beginnings: Sequence[str] = ()
    """How the responses to the last problems begin: these problems are states of search trees."""
    rates: Mapping[int, Tally] = field(default_factory=dict)
    """Pass rates that are known before training, by the problem's index."""
    judges: int = 1
    """Responses judged at the same time."""
    measures: Callable[[Problem, str], Mapping[str, float | None]] = lambda problem, response: {}
    """More measures of a response for the training curves, such as its number of backtracks; None if not known."""
    spent: Callable[[int, int], None] = lambda tokens, responses: None
    """Called with the tokens and the number of responses of every batch in this process."""
    phase: Callable[[str], None] = lambda name: None
    """Called with the name of each phase that begins."""
    warn: Callable[[str], None] = lambda text: None
    """Called with warnings for the user."""
    show: Callable[[int, list[Rollout]], None] = lambda step, rollouts: None
    """Called with some responses of some steps, for people to read."""

    @property
    def pools(self) -> list[range]:
        """The problems whose responses begin anew, and those that are states; by index."""
        total = len(self.problems)
        plain = total - len(self.beginnings)
        return [range(plain), range(plain, total)] if self.beginnings else [range(total)]

    def row(self, prompt: RoundPrompt) -> PromptRow:
        """The trainer's row for a prompt."""
        return {"prompt": self._messages(prompt.problem), "problem": prompt.problem, "copy": prompt.copy}

    def prompt_ids(self, tokenizer: PreTrainedTokenizerBase, problem: int) -> list[int]:
        """What the model continues: the question and, for a state, the beginning of the response."""
        return encode_prompt(tokenizer, self._messages(problem)) + self.beginning_ids(tokenizer, problem)

    def beginning_ids(self, tokenizer: PreTrainedTokenizerBase, problem: int) -> list[int]:
        """The given beginning of the response to a problem."""
        state = problem - self.pools[0].stop
        return encode_text(tokenizer, self.beginnings[state]) if state >= 0 else []

    def _messages(self, problem: int) -> list[Message]:
        return [{"role": "user", "content": self.problems[problem].question}]
