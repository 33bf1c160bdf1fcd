"""The interface of verifiers: verdicts on final answers, and hooks for domains whose steps can be checked."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import ClassVar, NamedTuple

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Verdict


class StatedStep(NamedTuple):
    """A step as a response states it, in terms of states: equal however it is worded or spelled."""

    before: Hashable
    """The state that it starts from, as the step itself implies it."""
    action: str
    """What it does, in one spelling; equal where two steps do the same to different states."""
    after: Hashable
    """The state that it states as its result."""
    ends: bool = False
    """Whether that state completes an attempt."""


class Verifier(ABC):
    """Decides whether a response answers a problem.

    The step hooks are for domains whose steps have an exact meaning (countdown: two numbers become one). Their defaults
    leave the text unchanged. `steps` are the texts of a path from the root, without delimiters.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Increased when verdicts, steps or facts may change. It is part of the problems that use this verifier, and so of
    the keys of everything made from them."""

    @abstractmethod
    def check_problem(self, problem: Problem) -> str | None:
        """Why the problem or its answer cannot be used, or None. Called once, when problems are built."""

    @abstractmethod
    def verify(self, problem: Problem, response: str) -> Verdict:
        """The verdict on a whole response. Never raises. Several threads may call it at the same time."""

    def same(self, problem: Problem, first: str, second: str) -> bool:
        """Whether two extracted answers are the same, right or wrong. By default, whether their texts are equal."""
        return first == second

    def accepts(self, problem: Problem, response: str) -> bool | None:
        """Whether a check that reads nothing but the question accepts the response; None if the domain has no check.

        Evaluations use it as a control: sample until the check accepts. It never reads `problem.answer`.
        """
        return None

    def fails_at(self, problem: Problem, response: str) -> int | None:
        """How many characters of a response that `accepts` rejects are enough for a check of its steps to reject it;
        None if only the whole response shows it.

        Evaluations use it as a stricter control, which need not pay for the rest of a failed attempt.
        """
        return None

    def complete_step(self, problem: Problem, steps: Sequence[str], text: str) -> str | None:
        """The step as it enters the tree, with its exact parts recomputed; None if it is not allowed."""
        return text

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        """Whether the path is complete. By default, whether its last step states a final answer."""
        return bool(self.verify(problem, steps[-1]).extracted) if steps else False

    def closing(self, problem: Problem, steps: Sequence[str]) -> str:
        """The line that states the answer of a complete path, if the last step does not."""
        return ""

    def start(self, problem: Problem) -> Hashable:
        """The state before any step, in the terms of `stated_steps`."""
        return None

    def stated_steps(self, problem: Problem, response: str) -> list[StatedStep] | None:
        """Every step that a response states, in order; None if the domain knows no states.

        Backtracks, repeated steps and repeated attempts are then read from the states and not from the words between
        the steps, which a model in training may change.
        """
        return None

    def facts(self, problem: Problem, steps: Sequence[str]) -> dict[str, str]:
        """Facts about the state after `steps`, for templates."""
        return {}

    def value(self, problem: Problem, steps: Sequence[str]) -> float | None:
        """An estimate in [0, 1] of the chance that a correct answer can still be reached after `steps`; None where the
        verifier has none. Search policies may ask it for every state, so it has to be fast; it does not read
        `problem.answer`, which a search must not know."""
        return None
