"""Verifiers for tests."""

import os
import time
from pathlib import Path

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


class Waits(Says):
    """Creates a file after some calls and waits, once: while the file is new, training is in the middle of a step."""

    _calls = 0

    def verify(self, problem: Problem, response: str) -> Verdict:
        self._calls += 1
        marker = Path(os.environ["JUDGE_WAITS"])
        if self._calls > int(os.environ["JUDGE_WAITS_AFTER"]) and not marker.exists():
            marker.touch()
            time.sleep(float(os.environ["JUDGE_WAITS_S"]))
        return super().verify(problem, response)
