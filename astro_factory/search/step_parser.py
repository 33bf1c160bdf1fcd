"""Splits a model's text into steps and lets the verifier judge each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Verdict
from astro_factory.verifiers.base import Verifier


@dataclass(frozen=True, slots=True)
class ParsedStep:
    """A step as it enters the tree, with what is known about the state after it."""

    text: str
    verdict: Verdict | None = None
    """The verdict of a terminal; None where the path can continue."""
    closing: str = ""
    facts: dict[str, str] = field(default_factory=dict)


class ParsedSteps(NamedTuple):
    """The steps of a completion, up to its terminal or the first step that is not allowed."""

    steps: list[ParsedStep]
    lines: list[int]
    """For each step, the number of the line it was read from."""

    @property
    def score(self) -> float:
        """1 for a correct terminal, 0 for an incorrect one or none."""
        verdict = self.steps[-1].verdict if self.steps else None
        return float(verdict is not None and verdict.correct)

    def first(self) -> "ParsedSteps":
        """The first step alone."""
        return ParsedSteps(self.steps[:1], self.lines[:1])


class StepParser:
    """Parses completions of one problem. Results are cached by path and line, because samples repeat."""

    def __init__(self, problem: Problem, verifier: Verifier, delimiter: str):
        self.problem = problem
        self._verifier = verifier
        self._delimiter = delimiter
        self._cache: dict[tuple[tuple[str, ...], str, bool], ParsedStep | None] = {}

    def root_facts(self) -> dict[str, str]:
        return self._verifier.facts(self.problem, [])

    def value(self, steps: Sequence[str]) -> float | None:
        """The verifier's value of the state after these steps. Raises `UserError` E622."""
        value = self._verifier.value(self.problem, steps)
        if value is not None and not 0 <= value <= 1:
            raise UserError.of(
                "E622",
                f"verifier '{self.problem.verifier}' gives a state of problem '{self.problem.id}' the value {value!r}",
                "`value` returns a number from 0 to 1, or None where it is not known",
            )
        return value

    def parse(self, before: Sequence[str], text: str, finish: str, limit: int) -> ParsedSteps:
        """The steps in `text`, a sample that continues the steps `before`; at most `limit` of them.

        `finish` is the sample's finish reason. With `length` the last line is incomplete and dropped; with `eos` the
        last step is a terminal, whatever the verifier thinks of it.
        """
        lines = text.split(self._delimiter)
        if finish == "length":
            lines.pop()
        path, parsed = tuple(before), ParsedSteps([], [])
        filled = [number for number, line in enumerate(lines) if line.strip()]
        for number in filled[:limit]:
            step = self._parse_line(path, lines[number].strip(), finish == "eos" and number == filled[-1])
            if step is None:
                break
            path = (*path, step.text)
            parsed.steps.append(step)
            parsed.lines.append(number)
            if step.verdict is not None:
                break
        return parsed

    def _parse_line(self, before: tuple[str, ...], line: str, ended: bool) -> ParsedStep | None:
        # functools.cache on the method would keep the parser and its tree's steps alive in a reference cycle.
        key = (before, line, ended)
        if key not in self._cache:
            self._cache[key] = self._judge(*key)
        return self._cache[key]

    def _judge(self, before: tuple[str, ...], line: str, ended: bool) -> ParsedStep | None:
        text = self._verifier.complete_step(self.problem, before, line)
        if text is None:
            return None
        steps = [*before, text]
        facts = self._verifier.facts(self.problem, steps)
        if not ended and not self._verifier.is_terminal(self.problem, steps):
            return ParsedStep(text, facts=facts)
        closing = self._verifier.closing(self.problem, steps)
        response = self._delimiter.join([*steps, closing] if closing else steps)
        return ParsedStep(text, self._verifier.verify(self.problem, response), closing, facts)
