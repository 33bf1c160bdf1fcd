"""Countdown: join the given numbers with + - * /, each used exactly once, to reach the target.

A problem reads `numbers 4 10 3 target 17`. A step joins two numbers and says what is left, and a line at the end
states the composed expression:

    10 + 3 = 13 left 4 13
    13 + 4 = 17 left 17
    answer ( 10 + 3 ) + 4

A step is allowed if its result is a whole number from 0 to `info["max_value"]`. The verdict looks at nothing but the
last `answer` line, with exact fractions, so what a model claims in its steps is worth nothing.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import permutations
from typing import ClassVar, NamedTuple

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.verifiers.base import StatedStep, Verifier
from astro_factory.verifiers.expressions import ExpressionError, evaluate

DEFAULT_MAX_VALUE = 40

_ANSWER = re.compile(r"^[ \t]*answer\b[ \t]*(.*)$", re.MULTILINE)
_STEP = re.compile(r"(?<!\s)\s*([0-9]{1,9})\s*([-+*/])\s*([0-9]{1,9})\s*(?:=.*)?", re.DOTALL)

_STATED = re.compile(
    r"^[^\S\n]*([0-9]{1,9}) *([-+*/]) *([0-9]{1,9}) *= *([0-9]{1,9}) +left((?: +[0-9]{1,9})+)", re.MULTILINE
)


class Part(NamedTuple):
    """A number that is left, and how it was made of the given ones."""

    value: int
    text: str


def calculate(left: int, operator: str, right: int, max_value: int) -> int | None:
    """The result of one step, or None where the step is not allowed."""
    if operator == "+":
        result = left + right
    elif operator == "-":
        result = left - right
    elif operator == "*":
        result = left * right
    elif right == 0 or left % right:
        return None
    else:
        result = left // right
    return result if 0 <= result <= max_value else None


@lru_cache(maxsize=1 << 18)
def reachable(numbers: tuple[int, ...], max_value: int) -> frozenset[int]:
    """Every number that allowed steps can make of all the given ones, which are sorted.

    Takes less than a millisecond for four numbers and some ten times as long for each further one.
    """
    if len(numbers) == 1:
        return frozenset(numbers)
    found: set[int] = set()
    for left, right in permutations(range(len(numbers)), 2):
        rest = [number for place, number in enumerate(numbers) if place not in (left, right)]
        results = {calculate(numbers[left], operator, numbers[right], max_value) for operator in "+-*/"}
        for result in results - {None}:
            assert result is not None
            found |= reachable(tuple(sorted([*rest, result])), max_value)
    return frozenset(found)


def join(parts: list[Part], left: int, operator: str, right: int, max_value: int) -> list[Part] | None:
    """The untouched parts in their order, then the new one; None where the step is not allowed.

    Of equal parts the first one counts as used.
    """
    result = calculate(left, operator, right, max_value)
    values = [part.value for part in parts]
    if result is None or left not in values:
        return None
    rest = list(parts)
    first = rest.pop(values.index(left))
    values.remove(left)
    if right not in values:
        return None
    second = rest.pop(values.index(right))
    return [*rest, Part(result, f"( {first.text} {operator} {second.text} )")]


def step_text(left: int, operator: str, right: int, result: int, remaining: Sequence[int]) -> str:
    """The one spelling of a step; `remaining` are the numbers after it."""
    return f"{left} {operator} {right} = {result} left {' '.join(map(str, remaining))}"


def question_text(numbers: Sequence[int], target: int) -> str:
    """The one spelling of a problem."""
    return f"numbers {' '.join(map(str, numbers))} target {target}"


def closing_text(expression: str) -> str:
    """The line that states the answer."""
    return f"answer {expression}"


class Countdown(Verifier):
    """`problem.info` holds `numbers`, `target` and perhaps `max_value`; `problem.answer` is a solution, or empty."""

    name = "countdown"
    lookahead: ClassVar[int] = 3
    """With at most so many numbers left, `value` tries every way to join them."""

    def check_problem(self, problem: Problem) -> str | None:
        info = problem.info
        numbers = info.get("numbers")
        if not isinstance(numbers, list) or not numbers or not all(type(n) is int and n >= 0 for n in numbers):
            return "info needs 'numbers', a list of whole numbers"
        if type(info.get("target")) is not int:
            return "info needs 'target', a whole number"
        if type(info.get("max_value", DEFAULT_MAX_VALUE)) is not int:
            return "'max_value' in info has to be a whole number"
        if problem.answer:
            verdict = self._judge(problem, problem.answer)
            if not verdict.correct:
                return f"the answer '{problem.answer}' is wrong: {verdict.detail}"
        return None

    def verify(self, problem: Problem, response: str) -> Verdict:
        """`extracted` is the value of the last answer line where it uses the numbers rightly, so that equal values are
        equal answers; a misuse of the numbers is named with them and never equals a right answer."""
        answers = _ANSWER.findall(response)
        return self._judge(problem, answers[-1]) if answers else Verdict(Outcome.NO_ANSWER)

    def accepts(self, problem: Problem, response: str) -> bool:
        """The question states the numbers and the target, so the verdict itself needs no known answer."""
        return self.verify(problem, response).correct

    def fails_at(self, problem: Problem, response: str) -> int | None:
        """The end of the last step that leaves one number. A check of the steps knows there that the attempt fails: the
        number is not the target, or a step on the way used a number that was not left or was miscalculated."""
        ends = [step.end() for step in _STATED.finditer(response) if len(step[5].split()) == 1]
        return ends[-1] if ends else None

    def _judge(self, problem: Problem, expression: str) -> Verdict:
        try:
            value, used = evaluate(expression)
        except ExpressionError as error:
            return Verdict(Outcome.NO_ANSWER, detail=f"cannot read the answer: {error}")
        given = sorted(problem.info["numbers"])
        if sorted(used) != given:
            numbers = " ".join(map(str, sorted(used)))
            wanted = " ".join(map(str, given))
            return Verdict(Outcome.INCORRECT, f"{value} from {numbers}", f"uses {numbers}, not {wanted}")
        target = problem.info["target"]
        if value != target:
            return Verdict(Outcome.INCORRECT, str(value), f"{expression.strip()} is {value}, not {target}")
        return Verdict(Outcome.CORRECT, str(value), expression.strip())

    def complete_step(self, problem: Problem, steps: Sequence[str], text: str) -> str | None:
        """The step with its result and what is left recomputed from the two numbers and the operator chosen."""
        match = _STEP.fullmatch(text)
        if match is None:
            return None
        left, operator, right = int(match[1]), match[2], int(match[3])
        parts = self._replay(problem, steps)
        joined = join(parts, left, operator, right, problem.info.get("max_value", DEFAULT_MAX_VALUE))
        if joined is None:
            return None
        return step_text(left, operator, right, joined[-1].value, [part.value for part in joined])

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        return len(problem.info["numbers"]) - len(steps) <= 1

    def closing(self, problem: Problem, steps: Sequence[str]) -> str:
        """The answer line of a finished path: exactly what its steps compute, right or wrong."""
        expression = self._replay(problem, steps)[-1].text
        return closing_text(expression.removeprefix("( ").removesuffix(" )"))

    def start(self, problem: Problem) -> tuple[int, ...]:
        return tuple(sorted(problem.info["numbers"]))

    def stated_steps(self, problem: Problem, response: str) -> list[StatedStep]:
        """A state is the numbers that are left, in ascending order. A step that does not leave its own result has no
        state before it that could be known, and stands as a change of what it states to be left."""
        steps = []
        for left, operator, right, result, remaining in _STATED.findall(response):
            pair = sorted((int(left), int(right))) if operator in "+*" else [int(left), int(right)]
            after = sorted(map(int, remaining.split()))
            before = list(after)
            if int(result) in before:
                before.remove(int(result))
            before = sorted(before + pair)
            action = f"{pair[0]} {operator} {pair[1]} = {int(result)}"
            steps.append(StatedStep(tuple(before), action, tuple(after), len(after) == 1))
        return steps

    def facts(self, problem: Problem, steps: Sequence[str]) -> dict[str, str]:
        parts = self._replay(problem, steps)
        facts = {"left": " ".join(str(part.value) for part in parts), "target": str(problem.info["target"])}
        return facts | {"result": str(parts[-1].value)} if steps else facts

    def value(self, problem: Problem, steps: Sequence[str]) -> float | None:
        """1 if the numbers that are left can still reach the target and 0 if not, found by trying all steps; None with
        more than `lookahead` numbers left."""
        left = [part.value for part in self._replay(problem, steps)]
        if len(left) > self.lookahead:
            return None
        max_value = problem.info.get("max_value", DEFAULT_MAX_VALUE)
        return float(problem.info["target"] in reachable(tuple(sorted(left)), max_value))

    def _replay(self, problem: Problem, steps: Sequence[str]) -> list[Part]:
        """What is left after `steps`, in order; raises ValueError at a step that `complete_step` did not make."""
        max_value = problem.info.get("max_value", DEFAULT_MAX_VALUE)
        return list(_left_after(tuple(problem.info["numbers"]), max_value, tuple(steps)))


@lru_cache(maxsize=1 << 14)
def _left_after(numbers: tuple[int, ...], max_value: int, steps: tuple[str, ...]) -> tuple[Part, ...]:
    """Remembered, since a search asks for the same paths and their beginnings again and again."""
    if not steps:
        return tuple(Part(number, str(number)) for number in numbers)
    match = _STEP.fullmatch(steps[-1])
    parts = list(_left_after(numbers, max_value, steps[:-1]))
    joined = match and join(parts, int(match[1]), match[2], int(match[3]), max_value)
    if not joined:
        raise ValueError(f"not a step of this problem: '{steps[-1]}'")
    return tuple(joined)
