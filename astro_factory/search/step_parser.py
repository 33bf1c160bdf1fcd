"""From a model's text to judged steps: what a verifier makes of each line of a completion."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Verdict
from astro_factory.verifiers.base import Verifier


@dataclass(frozen=True, slots=True)
class ParsedStep:
    """A step as it enters the tree, and what is known after it."""

    text: str
    verdict: Verdict | None = None
    """Of an end; None where the path can go on."""
    closing: str = ""
    facts: dict[str, str] = field(default_factory=dict)


class ParsedSteps(NamedTuple):
    """The steps of a completion up to its end or to the first one that is not allowed."""

    steps: list[ParsedStep]
    lines: list[int]
    """For each step the number of the line of the text that it was read from."""

    @property
    def score(self) -> float:
        """1 for a right end, 0 for a wrong one or none."""
        verdict = self.steps[-1].verdict if self.steps else None
        return float(verdict is not None and verdict.correct)

    def first(self) -> "ParsedSteps":
        """Its first step alone."""
        return ParsedSteps(self.steps[:1], self.lines[:1])


class StepParser:
    """A problem with its verifier and what separates steps. What was judged once is remembered: samples repeat."""

    def __init__(self, problem: Problem, verifier: Verifier, delimiter: str):
        self.problem = problem
        self._verifier = verifier
        self._delimiter = delimiter
        self._known: dict[tuple[tuple[str, ...], str, bool], ParsedStep | None] = {}

    def root_facts(self) -> dict[str, str]:
        return self._verifier.facts(self.problem, [])

    def read(self, before: Sequence[str], text: str, finish: str, limit: int) -> ParsedSteps:
        """The steps in `text`, a sample that follows the steps `before`; at most `limit` of them.

        `finish` is the sample's: one that ran out of tokens lost its last line; one at the model's end makes its last
        step an end, whatever the verifier thinks of it.
        """
        lines = text.split(self._delimiter)
        if finish == "length":
            lines.pop()
        steps, parsed = tuple(before), ParsedSteps([], [])
        filled = [number for number, line in enumerate(lines) if line.strip()]
        for number in filled[:limit]:
            step = self._step(steps, lines[number].strip(), finish == "eos" and number == filled[-1])
            if step is None:
                break
            steps = (*steps, step.text)
            parsed.steps.append(step)
            parsed.lines.append(number)
            if step.verdict is not None:
                break
        return parsed

    def _step(self, *key: Any) -> ParsedStep | None:
        # functools.cache on the method would keep the parser and its tree's steps alive in a reference cycle.
        if key not in self._known:
            self._known[key] = self._judged(*key)
        return self._known[key]

    def _judged(self, before: tuple[str, ...], line: str, ended: bool) -> ParsedStep | None:
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
