"""Verifiers for tests."""

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.verifiers.base import Verifier


class Says(Verifier):
    """A response is right when it says the answer, and has an answer when it says anything."""

    name = "says"

    def check_problem(self, problem: Problem) -> str | None:
        return None

    def verify(self, problem: Problem, response: str) -> Verdict:
        said = problem.answer in response.split()
        return Verdict(Outcome.CORRECT if said else Outcome.INCORRECT if response.strip() else Outcome.NO_ANSWER)


class Fails(Says):
    """Its process dies at every response."""

    def verify(self, problem: Problem, response: str) -> Verdict:
        return Verdict(Outcome.ERROR)
