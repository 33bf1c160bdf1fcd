"""Number guessing: which x from 1 to n meets both conditions?

A condition such as `3 x + 5 mod 7 = 1` takes a moment to test and gives no hint of the x that meets it. A step tests
one candidate: for each condition the product, the sum and the remainder.

    find x to 12 : 3 x + 5 mod 7 = 1 , 4 x + 1 mod 9 = 6
    try 8 : 24 29 1 , 32 33 6
    answer 8
"""

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar, NamedTuple

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.verifiers.base import StatedStep
from astro_factory.verifiers.puzzles import Document, Exercise, PuzzleDomain, end_of_failed_test, evenly_spaced

CONDITIONS = 2
LARGEST = 999
"""Numbers have at most three digits."""
_STEP = re.compile(r"(?:try )?([0-9]{1,3})(?: :.*)?")
_STATED = re.compile(r"^try ([0-9]{1,3}) : ", re.MULTILINE)
_TEST = re.compile(r"^[ \t]*try[ \t]+([0-9]{1,3})[ \t]*:(.*)$", re.MULTILINE)
_ANSWER = re.compile(r"^[ \t]*answer\b(.*)$", re.MULTILINE)
_NUMBER = re.compile(r"[ \t]*([0-9]{1,3})[ \t\r]*")


class Condition(NamedTuple):
    factor: int
    term: int
    modulus: int
    wanted: int

    @property
    def text(self) -> str:
        return f"{self.factor} x + {self.term} mod {self.modulus} = {self.wanted}"

    def values(self, x: int) -> tuple[int, int, int]:
        """The product, the sum and the remainder."""
        product = self.factor * x
        return product, product + self.term, (product + self.term) % self.modulus

    def meets(self, x: int) -> bool:
        return self.values(x)[2] == self.wanted


class GuessNumber(PuzzleDomain):
    """`problem.info` holds `largest`, n, and `conditions`, each factor, term, modulus and remainder."""

    name = "guess_number"
    sizes = range(4, 17)
    size_word = "candidates"
    skills: ClassVar[Mapping[str, float]] = {"solve": 0.25, "attempt": 0.45, "series": 0.1, "calculate": 0.2}

    def draw(self, random: Random, size: int) -> Problem | None:
        """Two conditions that exactly one number meets."""
        answer, conditions = random.randint(1, size), []
        for _ in range(CONDITIONS):
            factor, term, modulus = random.randint(2, 5), random.randint(1, 12), random.randint(5, 9)
            conditions.append(Condition(factor, term, modulus, (factor * answer + term) % modulus))
        if any(all(c.meets(x) for c in conditions) for x in range(1, size + 1) if x != answer):
            return None
        return Problem(
            id=f"guess-{size}-{'-'.join('.'.join(map(str, c)) for c in conditions)}",
            question=f"find x to {size} : {' , '.join(c.text for c in conditions)}",
            answer=str(answer),
            verifier=self.name,
            info={"largest": size, "conditions": [list(c) for c in conditions]},
            level=f"{size} {self.size_word}",
        )

    def identity(self, problem: Problem) -> str:
        """The conditions in any order."""
        conditions = sorted(c.text for c in _conditions(problem))
        return f"{problem.info['largest']} : {' , '.join(conditions)}"

    def check_problem(self, problem: Problem) -> str | None:
        largest, conditions = problem.info.get("largest"), problem.info.get("conditions")
        if type(largest) is not int or not 1 <= largest <= LARGEST:
            return f"info needs 'largest', a whole number from 1 to {LARGEST}"
        if not isinstance(conditions, list) or not conditions or not all(map(_is_condition, conditions)):
            return "info needs 'conditions', each four whole numbers: factor, term, modulus above 0, remainder"
        if problem.answer:
            verdict = self.verify(problem, f"answer {problem.answer}")
            if not verdict.correct:
                return f"the answer '{problem.answer}' is wrong: {verdict.detail or 'not a whole number'}"
        elif not any(all(c.meets(x) for c in _conditions(problem)) for x in range(1, largest + 1)):
            return f"no number from 1 to {largest} meets the conditions"
        return None

    def verify(self, problem: Problem, response: str) -> Verdict:
        """The number of the last answer line; other lines count for nothing."""
        lines = _ANSWER.findall(response)
        match = _NUMBER.fullmatch(lines[-1]) if lines else None
        if match is None:
            return Verdict(Outcome.NO_ANSWER)
        x, largest = int(match[1]), problem.info["largest"]
        if not 1 <= x <= largest:
            return Verdict(Outcome.INCORRECT, str(x), f"not a number from 1 to {largest}")
        missed = [c.text for c in _conditions(problem) if not c.meets(x)]
        if missed:
            return Verdict(Outcome.INCORRECT, str(x), f"x = {x} does not meet {missed[0]}")
        return Verdict(Outcome.CORRECT, str(x))

    def accepts(self, problem: Problem, response: str) -> bool:
        """The question states the conditions, so the verdict itself needs no known answer."""
        return self.verify(problem, response).correct

    def fails_at(self, problem: Problem, response: str) -> int | None:
        """Behind the remainder of the first condition that the number of the last test does not meet."""

        def met(number: str) -> list[bool]:
            x = int(number)
            return [c.meets(x) for c in _conditions(problem)] if 1 <= x <= problem.info["largest"] else []

        return end_of_failed_test(response, _TEST, met)

    def complete_step(self, problem: Problem, steps: Sequence[str], text: str) -> str | None:
        """The test of the candidate with everything but the candidate calculated anew."""
        match = _STEP.fullmatch(text.strip())
        if steps or match is None or not 1 <= int(match[1]) <= problem.info["largest"]:
            return None
        return self.test(int(match[1]), _conditions(problem))

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        return bool(steps)

    def closing(self, problem: Problem, steps: Sequence[str]) -> str:
        return f"answer {_candidate(steps)}" if steps else ""

    def test(self, x: int, conditions: Sequence[Condition]) -> str:
        """The one spelling of a test."""
        return f"try {x} : {' , '.join(' '.join(map(str, c.values(x))) for c in conditions)}"

    def start(self, problem: Problem) -> str:
        return ""

    def stated_steps(self, problem: Problem, response: str) -> list[StatedStep]:
        """Every test starts anew, and its state is the number that it tests."""
        return [StatedStep("", x, x, ends=True) for x in map(str, map(int, _STATED.findall(evenly_spaced(response))))]

    def facts(self, problem: Problem, steps: Sequence[str]) -> dict[str, str]:
        """After a test: the remainders `found` and `wanted`, and both as the `check`."""
        conditions = _conditions(problem)
        wanted = " ".join(str(c.wanted) for c in conditions)
        if not steps:
            return {"wanted": wanted}
        found = " ".join(str(c.values(_candidate(steps))[2]) for c in conditions)
        return {"found": found, "wanted": wanted, "check": f"{found} want {wanted}"}

    def value(self, problem: Problem, steps: Sequence[str]) -> float | None:
        """Whether the tested number meets the conditions; None before a test."""
        return float(all(c.meets(_candidate(steps)) for c in _conditions(problem))) if steps else None

    def random_step(self, random: Random, problem: Problem, steps: list[str]) -> str:
        return self.test(random.randint(1, problem.info["largest"]), _conditions(problem))

    def right_step(self, random: Random, problem: Problem, steps: list[str]) -> str:
        return self.test(int(problem.answer), _conditions(problem))

    def exercises(self) -> Mapping[str, Exercise]:
        return {"calculate": _calculate}


def _calculate(random: Random, problem: Problem) -> Document:
    """One condition for one number."""
    condition, x = random.choice(_conditions(problem)), random.randint(1, problem.info["largest"])
    product, total, rest = condition.values(x)
    question = f"compute {condition.factor} {x} + {condition.term} mod {condition.modulus}"
    return question, f"{product} {total} {rest}"


def _conditions(problem: Problem) -> list[Condition]:
    return [Condition(*values) for values in problem.info["conditions"]]


def _is_condition(values: object) -> bool:
    return isinstance(values, list) and len(values) == 4 and all(type(v) is int for v in values) and values[2] > 0


def _candidate(steps: Sequence[str]) -> int:
    match = _STEP.fullmatch(steps[0])
    if match is None:
        raise ValueError(f"not a step of this problem: '{steps[0]}'")
    return int(match[1])
