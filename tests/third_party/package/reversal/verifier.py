"""The verifier `reversal`: a response ends with `answer` and the letters of the word, last letter first."""

from collections.abc import Sequence

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.verifiers.base import Verifier


class Reversal(Verifier):
    """A step is one letter. The question is `reverse` and a word."""

    name = "reversal"
    version = 1

    def check_problem(self, problem: Problem) -> str | None:
        word = problem.question.removeprefix("reverse ")
        return None if problem.answer == word[::-1] else f"'{problem.answer}' is not '{word}' reversed"

    def verify(self, problem: Problem, response: str) -> Verdict:
        _, found, answer = response.rpartition("answer ")
        if not found:
            return Verdict(Outcome.NO_ANSWER)
        correct = answer.strip() == problem.answer
        return Verdict(Outcome.CORRECT if correct else Outcome.INCORRECT, answer.strip())

    # The rest is optional: it gives the steps of this domain an exact meaning.

    def complete_step(self, problem: Problem, steps: Sequence[str], text: str) -> str | None:
        return text if len(text) == 1 and text.isalpha() else None

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        return len(steps) == len(problem.answer)

    def closing(self, problem: Problem, steps: Sequence[str]) -> str:
        return f"answer {''.join(steps)}" if self.is_terminal(problem, steps) else ""
