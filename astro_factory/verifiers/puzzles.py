"""Domains of generated puzzles: a verifier that also draws its puzzles and says how they are practised.

A domain is one module with one class. Registered as a verifier, it is all that `kind: puzzles`, `kind: practice` and a
search need:

    problems: {train: {kind: puzzles, domain: sorting, sizes: [6], count: 500}}
    stages: {practice: {kind: practice, domain: sorting, sizes: [6], count: 100000}}

Practice teaches a base model the parts of a search and never searches itself: nothing is tried again after a wrong end.
Its documents are made here from the domain's steps, so a domain only adds exercises of its own.
"""

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import ClassVar

from astro_factory.core.errors import near
from astro_factory.core.problems import Problem
from astro_factory.verifiers.base import Verifier
from astro_factory.verifiers.registry import get_verifier, is_known

Document = tuple[str, str]
"""What the user writes, and the response."""
Exercise = Callable[[Random, Problem], Document]
"""Makes a document from a puzzle."""
Weights = dict[int, float]

_RIGHT_SHARE = 0.3
"""Share of attempts that are right on purpose, so that both outcomes of a check are practised."""


class PuzzleDomain(Verifier):
    """A verifier with step hooks whose puzzles are generated.

    `facts` of a complete path contains `check`: what is compared to judge it, calculated and worded alike for right and
    wrong ones. Where a path can be continued from its middle, the facts of each state contain `state`, in the words by
    which a trace names it.
    """

    sizes: ClassVar[range]
    """The sizes that puzzles can have."""
    size_word: ClassVar[str]
    """What the size counts, such as `numbers`; the level of a puzzle is `6 numbers`."""
    skills: ClassVar[Mapping[str, float]]
    """Names of the practice skills with their usual weights: of `solve`, `attempt` and `series`, and the exercises."""

    @abstractmethod
    def draw(self, random: Random, size: int) -> Problem | None:
        """A puzzle with its answer, or None where the draw breaks a rule: draw again."""

    @abstractmethod
    def identity(self, problem: Problem) -> str:
        """What makes the puzzle, however it is presented: its hash decides the split, and no source has it twice."""

    @abstractmethod
    def random_step(self, random: Random, problem: Problem, steps: list[str]) -> str:
        """One of the allowed steps, each as likely as the others."""

    @abstractmethod
    def right_step(self, random: Random, problem: Problem, steps: list[str]) -> str:
        """A step towards a right answer from a state that still leads to one. Practice and tests ask for it; a search
        never does."""

    def exercises(self) -> Mapping[str, Exercise]:
        """Practice skills of this domain alone, such as a single calculation."""
        return {}

    def solution(self, random: Random, problem: Problem) -> list[str]:
        """The steps of a right solution."""
        return self._walk(random, problem, self.right_step)

    def attempt(self, random: Random, problem: Problem) -> list[str]:
        """Random allowed steps to the end of a path: honest, and mostly wrong."""
        return self._walk(random, problem, self.random_step)

    def is_right(self, problem: Problem, steps: Sequence[str]) -> bool:
        """Whether a complete path ends right."""
        return self.verify(problem, "\n".join([*steps, self.closing(problem, steps)])).correct

    def _walk(self, random: Random, problem: Problem, choose: Callable[[Random, Problem, list[str]], str]) -> list[str]:
        steps: list[str] = []
        while not self.is_terminal(problem, steps):
            steps.append(choose(random, problem, steps))
        return steps

    def document(self, random: Random, skill: str, draw: Callable[[], Problem]) -> Document:
        """A practice document of a skill; `draw` gives puzzles of the training split."""
        if skill == "solve":
            return self._solved(random, draw())
        if skill == "attempt":
            return _asked("try", [self._attempted(random, draw())])
        if skill == "series":
            return _asked("series", [self._attempted(random, draw()) for _ in range(random.randint(2, 4))])
        return self.exercises()[skill](random, draw())

    def _solved(self, random: Random, problem: Problem) -> Document:
        steps = self.solution(random, problem)
        return problem.question, "\n".join(filter(None, [*steps, self.closing(problem, steps)]))

    def _attempted(self, random: Random, problem: Problem) -> tuple[str, list[str]]:
        """The question, and an attempt with its check; after a wrong one sometimes copies of earlier states."""
        right = random.random() < _RIGHT_SHARE
        steps = self.solution(random, problem) if right else self.attempt(random, problem)
        correct = self.is_right(problem, steps)
        lines = [*steps, check_line(self.facts(problem, steps)["check"], correct)]
        states = [self.facts(problem, steps[:count]).get("state") for count in range(len(steps))]
        if not correct and all(states) and random.random() < 0.6:
            lines += [state_line(str(random.choice(states))) for _ in range(random.randint(1, 2))]
        return problem.question, lines


def check_line(check: str, correct: bool) -> str:
    """A check and its verdict, as `reflection/puzzles.jinja` writes them."""
    return f"{check} {'Yes' if correct else 'No'} ."


def state_line(state: str) -> str:
    """The name of an earlier state, as `reflection/puzzles.jinja` goes back to it."""
    return f"back to {state}"


def evenly_spaced(response: str) -> str:
    """A response with single spaces in its lines and none around them, so that a step is read however it is spaced."""
    return "\n".join(" ".join(line.split()) for line in response.split("\n"))


def end_of_failed_test(response: str, test: re.Pattern[str], met: Callable[[str], list[bool]]) -> int | None:
    """Where the last test of a response shows that its candidate is wrong; None if it shows nothing, or there is none.

    Args:
        test: matches a test, in two groups: the candidate, and the parts of the test, with commas between them.
        met: which parts a candidate meets, each calculated anew; none for what is no candidate, which fails before all.
    """
    tests = list(test.finditer(response))
    if not tests:
        return None
    candidate, parts = tests[-1].groups()
    verdicts, start = met(candidate), tests[-1].start(2)
    if not verdicts:
        return start
    if all(verdicts):
        return None
    return start + len(",".join(parts.split(",")[: verdicts.index(False) + 1]))


def _asked(word: str, attempts: list[tuple[str, list[str]]]) -> Document:
    """Attempts in one document: the first question is the user's, the others stand above their attempts."""
    (first, lines), *others = attempts
    for question, more in others:
        lines = [*lines, f"try {question}", *more]
    return f"{word} {first}", "\n".join(lines)


def domain_names() -> list[str]:
    """The domains that come with the package."""
    return ["guess_in_turn", "guess_number", "kinship", "mastermind", "sorting"]


def get_domain(name: str) -> PuzzleDomain:
    """The domain of this name, built in or of an installed package.

    Raises:
        ValueError: there is no such domain.
        UserError: what `get_verifier` raises for a package whose domain cannot be loaded.
    """
    if name.startswith("python:") or not is_known(name):
        raise ValueError(f"unknown domain '{name}'; {near(name, domain_names())}")
    found = get_verifier(name)
    if not isinstance(found, PuzzleDomain):
        raise ValueError(f"the verifier '{name}' draws no puzzles; use a domain such as {', '.join(domain_names())}")
    return found


def weights_of(domain: PuzzleDomain, sizes: Weights | list[int]) -> Weights:
    """Sizes with their weights, in ascending order; those of a list are equal.

    Raises:
        ValueError: there is none, one that the domain does not have, or a weight that is not above 0.
    """
    weights = dict(sizes) if isinstance(sizes, dict) else dict.fromkeys(sizes, 1.0)
    low, high = domain.sizes[0], domain.sizes[-1]
    if not weights or min(weights.values()) <= 0 or not all(size in domain.sizes for size in weights):
        raise ValueError(f"'{domain.name}' needs sizes from {low} to {high} ({domain.size_word}), with weights above 0")
    return dict(sorted(weights.items()))
