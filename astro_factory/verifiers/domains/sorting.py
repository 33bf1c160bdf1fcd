"""Sorting: write the numbers in ascending order. The answer can be read off: each step takes the smallest number left.

sort 41 7 23
take 7 left 41 23
take 23 left 41
take 41 left
answer 7 23 41
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import ClassVar

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.verifiers.base import StatedStep
from astro_factory.verifiers.puzzles import Document, Exercise, PuzzleDomain, evenly_spaced

LARGEST = 99
_STEP = re.compile(r"(?:take )?([0-9]{1,9})(?: left.*)?")
_STATED = re.compile(r"^take ([0-9]{1,9}) left((?: [0-9]{1,9})*)$", re.MULTILINE)
_TAKEN = re.compile(r"^[ \t]*take[ \t]+([0-9]{1,9})[ \t]+left((?:[ \t]+[0-9]{1,9})*)[ \t\r]*$", re.MULTILINE)
_ANSWER = re.compile(r"^[ \t]*answer\b(.*)$", re.MULTILINE)
_NUMBERS = re.compile(r"(?:[ \t]*\b[0-9]{1,9}\b)+[ \t\r]*")


class Sorting(PuzzleDomain):
    """`problem.info` holds `numbers`, no two of which are equal."""

    name = "sorting"
    sizes = range(2, 13)
    size_word = "numbers"
    skills: ClassVar[Mapping[str, float]] = {"solve": 0.3, "attempt": 0.4, "series": 0.1, "smaller": 0.2}

    def draw(self, random: Random, size: int) -> Problem | None:
        numbers = random.sample(range(LARGEST + 1), size)
        if numbers == sorted(numbers):
            return None
        return Problem(
            id=f"sort-{'-'.join(map(str, numbers))}",
            question=f"sort {' '.join(map(str, numbers))}",
            answer=" ".join(map(str, sorted(numbers))),
            verifier=self.name,
            info={"numbers": numbers},
            level=f"{size} {self.size_word}",
        )

    def identity(self, problem: Problem) -> str:
        """The numbers in any order."""
        return " ".join(map(str, sorted(problem.info["numbers"])))

    def check_problem(self, problem: Problem) -> str | None:
        numbers = problem.info.get("numbers")
        if not isinstance(numbers, list) or not numbers or not all(type(n) is int and n >= 0 for n in numbers):
            return "info needs 'numbers', a list of whole numbers"
        if len(set(numbers)) < len(numbers):
            return "no two numbers may be equal"
        if problem.answer and not self.verify(problem, f"answer {problem.answer}").correct:
            return f"the answer '{problem.answer}' is not the numbers in ascending order"
        return None

    def verify(self, problem: Problem, response: str) -> Verdict:
        """The numbers of the last answer line; other lines count for nothing."""
        lines = _ANSWER.findall(response)
        if not lines or not _NUMBERS.fullmatch(lines[-1]):
            return Verdict(Outcome.NO_ANSWER)
        found = [int(number) for number in lines[-1].split()]
        extracted = " ".join(map(str, found))
        if sorted(found) != sorted(problem.info["numbers"]):
            return Verdict(Outcome.INCORRECT, extracted, "not the numbers of the question, each once")
        if found != sorted(found):
            return Verdict(Outcome.INCORRECT, extracted, "not in ascending order")
        return Verdict(Outcome.CORRECT, extracted)

    def accepts(self, problem: Problem, response: str) -> bool:
        """Whether an order is ascending can be seen without knowing it, so the verdict needs no known answer."""
        return self.verify(problem, response).correct

    def fails_at(self, problem: Problem, response: str) -> int | None:
        """Behind the first step that leaves a smaller number than it takes, and that no later one goes back before."""
        wrong: tuple[int, int] | None = None  # how many numbers the step leaves, and where it ends
        for step in _TAKEN.finditer(response):
            left = [int(number) for number in step[2].split()]
            if wrong and len(left) >= wrong[0]:
                wrong = None
            if not wrong and left and min(left) < int(step[1]):
                wrong = len(left), step.end(2)
        return wrong[1] if wrong else None

    def complete_step(self, problem: Problem, steps: Sequence[str], text: str) -> str | None:
        """The step with what is left written anew."""
        match = _STEP.fullmatch(text.strip())
        left = _left(problem, steps)
        return step_text(int(match[1]), left) if match and int(match[1]) in left else None

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        return len(steps) == len(problem.info["numbers"])

    def closing(self, problem: Problem, steps: Sequence[str]) -> str:
        return f"answer {' '.join(map(str, _taken(steps)))}"

    def start(self, problem: Problem) -> frozenset[int]:
        return frozenset(problem.info["numbers"])

    def stated_steps(self, problem: Problem, response: str) -> list[StatedStep]:
        """A state is the set of numbers that are left. An action has its place: another order is another attempt."""
        steps = []
        for taken, left in _STATED.findall(evenly_spaced(response)):
            after = frozenset(map(int, left.split()))
            action = f"{int(taken)} of {len(after) + 1}"
            steps.append(StatedStep(after | {int(taken)}, action, after, ends=not after))
        return steps

    def facts(self, problem: Problem, steps: Sequence[str]) -> dict[str, str]:
        """The numbers that are left (`state`); at the end whether each is above the one before (`check`)."""
        if not self.is_terminal(problem, steps):
            return {"state": " ".join(map(str, _left(problem, steps)))}
        return {"check": " ".join("up" if a < b else "down" for a, b in pairwise(_taken(steps)))}

    def value(self, problem: Problem, steps: Sequence[str]) -> float | None:
        """Whether the numbers taken are the smallest ones, in ascending order."""
        taken = _taken(steps)
        return float(taken == sorted(problem.info["numbers"])[: len(taken)])

    def random_step(self, random: Random, problem: Problem, steps: list[str]) -> str:
        left = _left(problem, steps)
        return step_text(random.choice(left), left)

    def right_step(self, random: Random, problem: Problem, steps: list[str]) -> str:
        left = _left(problem, steps)
        return step_text(min(left), left)

    def exercises(self) -> Mapping[str, Exercise]:
        return {"smaller": _smaller}


def step_text(taken: int, left: Sequence[int]) -> str:
    """The one spelling of a step; `left` are the numbers before it."""
    return " ".join(["take", str(taken), "left", *(str(number) for number in left if number != taken)])


def _smaller(random: Random, problem: Problem) -> Document:
    """The smaller of two numbers."""
    first, second = random.sample(problem.info["numbers"], 2)
    return f"smaller {first} {second}", f"take {min(first, second)} left {max(first, second)}"


def _taken(steps: Sequence[str]) -> list[int]:
    return [int(step.split()[1]) for step in steps]


def _left(problem: Problem, steps: Sequence[str]) -> list[int]:
    """The numbers that are left, in the order of the question."""
    taken = set(_taken(steps))
    return [number for number in problem.info["numbers"] if number not in taken]
