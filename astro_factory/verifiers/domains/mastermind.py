"""Mastermind: which code agrees with all clues? A clue is a guess with its feedback, as the game gives it.

The colours of a code differ, as in Bulls and Cows. Feedback is two counts: colours in their right place, and right
colours elsewhere. A model cannot play against an opponent within one response, so the question states a finished game
but for its last guess, and a step tests one candidate: the feedback that each guess would have got from it. The step
compares colour by colour before it counts, as one would on paper; a small model cannot count what it has not written.

    code of 2 from black blue green red white yellow : blue green 0 1 , yellow green 1 0
    try yellow blue : blue elsewhere green absent 0 1 , yellow placed green absent 1 0
    answer yellow blue
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import permutations
from math import perm
from random import Random
from typing import ClassVar, NamedTuple

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.verifiers.base import StatedStep
from astro_factory.verifiers.puzzles import Document, Exercise, PuzzleDomain, end_of_failed_test, evenly_spaced

COLOURS = ("black", "blue", "green", "red", "white", "yellow")
MOST_CLUES = 4
_STEP = re.compile(r"(?:try )?([a-z]+(?: [a-z]+)*)(?: :.*)?")
_STATED = re.compile(r"^try ([a-z]+(?: [a-z]+)*) :", re.MULTILINE)
_TEST = re.compile(r"^[ \t]*try[ \t]+([a-z]+(?:[ \t]+[a-z]+)*)[ \t]*:(.*)$", re.MULTILINE)
_ANSWER = re.compile(r"^[ \t]*answer\b(.*)$", re.MULTILINE)

Code = tuple[str, ...]


class Clue(NamedTuple):
    """A guess, how many of its colours stand in their place, and how many elsewhere in the code."""

    guess: Code
    placed: int
    elsewhere: int

    @property
    def text(self) -> str:
        return f"{' '.join(self.guess)} {self.placed} {self.elsewhere}"

    @property
    def counts(self) -> str:
        return f"{self.placed} {self.elsewhere}"


def clue(guess: Code, code: Code) -> Clue:
    """The feedback to a guess."""
    marks = _marks(guess, code)
    return Clue(guess, marks.count("placed"), marks.count("elsewhere"))


def _marks(guess: Code, code: Code) -> list[str]:
    """Of each colour of a guess: `placed`, `elsewhere` in the code, or `absent`."""
    return [
        "placed" if colour == there else "elsewhere" if colour in code else "absent"
        for colour, there in zip(guess, code, strict=True)
    ]


class Mastermind(PuzzleDomain):
    """`problem.info` holds `pegs` and `clues`, each a guess and two counts."""

    name = "mastermind"
    version = 2
    sizes = range(2, 5)
    size_word = "pegs"
    skills: ClassVar[Mapping[str, float]] = {"solve": 0.25, "attempt": 0.45, "series": 0.1, "feedback": 0.2}

    def draw(self, random: Random, size: int) -> Problem | None:
        """A code, and random guesses until only that code agrees with them."""
        code, clues = tuple(random.sample(COLOURS, size)), list[Clue]()
        agreeing = (1 << perm(len(COLOURS), size)) - 1
        while agreeing.bit_count() != 1:
            found = clue(tuple(random.sample(COLOURS, size)), code)
            if found.guess == code or len(clues) == MOST_CLUES:
                return None
            clues.append(found)
            agreeing &= _agreeing(found)
        return Problem(
            id=f"mastermind-{'-'.join(c.text.replace(' ', '.') for c in clues)}",
            question=f"code of {size} from {' '.join(COLOURS)} : {' , '.join(c.text for c in clues)}",
            answer=" ".join(code),
            verifier=self.name,
            info={"pegs": size, "clues": [[list(c.guess), c.placed, c.elsewhere] for c in clues]},
            level=f"{size} {self.size_word}",
        )

    def identity(self, problem: Problem) -> str:
        """The clues in any order."""
        return " , ".join(sorted(c.text for c in _clues(problem)))

    def check_problem(self, problem: Problem) -> str | None:
        pegs, clues = problem.info.get("pegs"), problem.info.get("clues")
        if type(pegs) is not int or not 1 <= pegs <= len(COLOURS):
            return f"info needs 'pegs', a whole number from 1 to {len(COLOURS)}"
        if not isinstance(clues, list) or not clues or not all(_is_clue(found, pegs) for found in clues):
            return f"info needs 'clues', each a guess of {pegs} different colours and two counts"
        if problem.answer:
            verdict = self.verify(problem, f"answer {problem.answer}")
            if not verdict.correct:
                return f"the answer '{problem.answer}' is wrong: {verdict.detail or 'not a code'}"
        elif not any(all(clue(c.guess, code) == c for c in _clues(problem)) for code in permutations(COLOURS, pegs)):
            return "no code agrees with the clues"
        return None

    def verify(self, problem: Problem, response: str) -> Verdict:
        """The code of the last answer line; other lines count for nothing."""
        lines = _ANSWER.findall(response)
        code = tuple(lines[-1].split()) if lines else ()
        if not code or not set(code) <= set(COLOURS):
            return Verdict(Outcome.NO_ANSWER)
        answer = " ".join(code)
        if not _is_code(code, problem.info["pegs"]):
            return Verdict(Outcome.INCORRECT, answer, f"not {problem.info['pegs']} different colours")
        missed = [c.text for c in _clues(problem) if clue(c.guess, code) != c]
        if missed:
            return Verdict(Outcome.INCORRECT, answer, f"does not agree with {missed[0]}")
        return Verdict(Outcome.CORRECT, answer)

    def accepts(self, problem: Problem, response: str) -> bool:
        """The question states the clues, so the verdict itself needs no known answer."""
        return self.verify(problem, response).correct

    def fails_at(self, problem: Problem, response: str) -> int | None:
        """Behind the feedback of the first clue that the code of the last test does not agree with."""

        def met(colours: str) -> list[bool]:
            code = tuple(colours.split())
            return [clue(c.guess, code) == c for c in _clues(problem)] if _is_code(code, problem.info["pegs"]) else []

        return end_of_failed_test(response, _TEST, met)

    def complete_step(self, problem: Problem, steps: Sequence[str], text: str) -> str | None:
        """The test of the candidate with the feedback calculated anew."""
        match = _STEP.fullmatch(text.strip())
        code = tuple(match[1].split()) if match else ()
        return step_text(code, _clues(problem)) if not steps and _is_code(code, problem.info["pegs"]) else None

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        return bool(steps)

    def closing(self, problem: Problem, steps: Sequence[str]) -> str:
        return f"answer {' '.join(_candidate(steps))}" if steps else ""

    def start(self, problem: Problem) -> str:
        return ""

    def stated_steps(self, problem: Problem, response: str) -> list[StatedStep]:
        """Every test starts anew, and its state is the code that it tests."""
        return [StatedStep("", code, code, ends=True) for code in _STATED.findall(evenly_spaced(response))]

    def facts(self, problem: Problem, steps: Sequence[str]) -> dict[str, str]:
        """The feedback `wanted`; after a test also what was `found`, and both as the `check`."""
        clues = _clues(problem)
        wanted = " , ".join(c.counts for c in clues)
        if not steps:
            return {"wanted": wanted}
        found = " , ".join(clue(c.guess, _candidate(steps)).counts for c in clues)
        return {"found": found, "wanted": wanted, "check": f"{found} want {wanted}"}

    def value(self, problem: Problem, steps: Sequence[str]) -> float | None:
        """Whether the tested code agrees with the clues; None before a test."""
        return float(all(clue(c.guess, _candidate(steps)) == c for c in _clues(problem))) if steps else None

    def random_step(self, random: Random, problem: Problem, steps: list[str]) -> str:
        return step_text(tuple(random.sample(COLOURS, problem.info["pegs"])), _clues(problem))

    def right_step(self, random: Random, problem: Problem, steps: list[str]) -> str:
        return step_text(tuple(problem.answer.split()), _clues(problem))

    def exercises(self) -> Mapping[str, Exercise]:
        return {"feedback": _feedback}


@lru_cache(maxsize=1 << 14)
def _agreeing(found: Clue) -> int:
    """The codes that agree with a clue, each as a bit."""
    codes = permutations(COLOURS, len(found.guess))
    return sum(1 << bit for bit, code in enumerate(codes) if clue(found.guess, code) == found)


def step_text(code: Code, clues: Sequence[Clue]) -> str:
    """The one spelling of a test."""
    return f"try {' '.join(code)} : {' , '.join(_test(c.guess, code) for c in clues)}"


def _test(guess: Code, code: Code) -> str:
    """The comparison of a guess with a code, colour by colour, and its feedback."""
    compared = " ".join(f"{colour} {mark}" for colour, mark in zip(guess, _marks(guess, code), strict=True))
    return f"{compared} {clue(guess, code).counts}"


def _feedback(random: Random, problem: Problem) -> Document:
    """The feedback to one guess."""
    guess, code = (tuple(random.sample(COLOURS, problem.info["pegs"])) for _ in range(2))
    return f"feedback {' '.join(guess)} : {' '.join(code)}", _test(guess, code)


def _clues(problem: Problem) -> list[Clue]:
    return [Clue(tuple(guess), placed, elsewhere) for guess, placed, elsewhere in problem.info["clues"]]


def _is_code(code: Sequence[object], pegs: int) -> bool:
    return len(code) == pegs == len(set(code)) and set(code) <= set(COLOURS)


def _is_clue(found: object, pegs: int) -> bool:
    if not isinstance(found, list) or len(found) != 3 or not isinstance(found[0], list):
        return False
    guess, *counts = found
    return all(type(word) is str for word in guess) and _is_code(guess, pegs) and all(type(n) is int for n in counts)


def _candidate(steps: Sequence[str]) -> Code:
    match = _STEP.fullmatch(steps[0])
    if match is None:
        raise ValueError(f"not a step of this problem: '{steps[0]}'")
    return tuple(match[1].split())
