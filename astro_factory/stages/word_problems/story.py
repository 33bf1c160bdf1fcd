"""A word problem with its plan: the calculations that solve it, and how its answer is checked.

Two sorts of plan: one calculates the answer; the other tries a value and calculates what the question states about it
(guess and check), as one does before one knows algebra.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from astro_factory.verifiers.countdown import calculate

Term = int | str
"""A number; `x`, the value that is tried; or `#0`, the result of the first calculation."""

LARGEST = 72
"""No calculation of a solution gives more."""
DELIMITER = "\n\n"
"""Between steps, as chat models write them."""


class Calculation(NamedTuple):
    left: Term
    operator: str
    right: Term
    noun: str


class WordProblem(NamedTuple):
    """One problem. A plan without calculations only repeats a number of the question."""

    family: str
    structure: str
    """The calculations with the numbers that they use, without names, wording and the value that is asked for."""
    question: str
    answer: int
    plan: tuple[Calculation, ...]
    tried: str = ""
    """What is tried, as a noun; empty where the plan calculates the answer."""
    guesses: tuple[int, ...] = ()
    """The values that can be tried, or repeated."""
    redo: tuple[tuple[str, int], ...] = ()
    """Operations that lead from the answer to `wanted`; none where the plan itself ends there."""
    wanted: int = 0
    """A number of the question that a right answer leads to."""


def results(plan: Sequence[Calculation], tried: int) -> list[tuple[int, int, int]] | None:
    """Left, right and result of each calculation; None if one has no whole result from 0 to `LARGEST`."""
    found: list[tuple[int, int, int]] = []

    def value(term: Term) -> int:
        if isinstance(term, int):
            return term
        return tried if term == "x" else found[int(term[1:])][2]

    for calculation in plan:
        left, right = value(calculation.left), value(calculation.right)
        result = calculate(left, calculation.operator, right, LARGEST)
        if result is None:
            return None
        found.append((left, right, result))
    return found


def steps(problem: WordProblem, tried: int = 0, plan: Sequence[Calculation] | None = None) -> list[str] | None:
    r"""The steps of a solution, whose last one states the answer in \boxed{}; None if a calculation has no result.

    `plan` replaces the problem's own, for an attempt that goes wrong.
    """
    plan = problem.plan if plan is None else plan
    found = results(plan, tried)
    if found is None:
        return None
    if not plan:
        return [f"The problem says {tried} {problem.tried}, so the answer is \\boxed{{{tried}}}."]
    lines = [f"Try {tried} {problem.tried}."] if problem.guesses else []
    for (left, right, result), calculation in zip(found, plan, strict=True):
        lines.append(f"{left} {calculation.operator} {right} = {result} {calculation.noun}.")
    answer = tried if problem.guesses else found[-1][2]
    lines[-1] = f"{lines[-1][:-1]}, so the answer is \\boxed{{{answer}}}."
    return lines


def check_line(problem: WordProblem, answer: int, claimed: int) -> str:
    """The check of an answer and its verdict, as `reflection/word_problems.jinja` writes it.

    `claimed`: the result of the last calculation of the solution.
    """
    value, parts = (answer if problem.redo else claimed), []
    for operator, number in problem.redo:
        result = calculate(value, operator, number, sys.maxsize)
        if result is None:
            return f"Check: {', '.join([*parts, f'{value} {operator} {number} is not possible'])}. No."
        parts.append(f"{value} {operator} {number} = {result}")
        value = result
    high, low = max(value, problem.wanted), min(value, problem.wanted)
    parts.append(f"{high} - {low} = {high - low}")
    return f"Check: {', '.join(parts)}. {'No' if high > low else 'Yes'}."
