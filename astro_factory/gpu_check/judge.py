"""A verdict that a model without knowledge gets right half of the time, so that groups have a signal."""

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.verifiers.base import Verifier


class EvenLength(Verifier):
    """A response is correct if its number of characters, without spaces, is even."""

    name = "even_length"

    def check_problem(self, problem: Problem) -> str | None:
        return None

    def verify(self, problem: Problem, response: str) -> Verdict:
        even = sum(map(len, response.split())) % 2 == 0
        return Verdict(Outcome.CORRECT if even else Outcome.INCORRECT)
