"""The interface of a verifier: a final answer's verdict, and what a domain knows about single steps."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Verdict


class Verifier(ABC):
    """Decides whether a response answers a problem.

    The step hooks serve domains whose steps have an exact meaning (countdown: two numbers become one). Their defaults
    leave the text alone, as for free mathematics. `steps` are the texts of a path from the root, without delimiters.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Moves when a verdict may change; it is part of the problems that are read by this verifier, and so of the keys of
    all that is made of them."""

    @abstractmethod
    def check_problem(self, problem: Problem) -> str | None:
        """Why the problem or its answer cannot be read, or None; asked once, when problems are built."""

    @abstractmethod
    def verify(self, problem: Problem, response: str) -> Verdict:
        """The verdict on a whole response; never raises."""

    def same(self, problem: Problem, first: str, second: str) -> bool:
        """Whether two extracted answers are one answer, right or wrong; by default, when they are one text."""
        return first == second

    def complete_step(self, problem: Problem, steps: Sequence[str], text: str) -> str | None:
        """The step as it enters the tree: with its exact parts recomputed, or None where it is not allowed."""
        return text

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        """Whether the path is at an end: by default, when its last step states a final answer."""
        return bool(self.verify(problem, steps[-1]).extracted) if steps else False

    def closing(self, problem: Problem, steps: Sequence[str]) -> str:
        """The line that states the answer of a finished path, where it is not part of the last step."""
        return ""

    def facts(self, problem: Problem, steps: Sequence[str]) -> dict[str, str]:
        """What is known of the state after `steps`, for templates."""
        return {}
