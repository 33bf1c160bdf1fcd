"""From a model's text to judged steps: what a verifier makes of each line of a completion."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Verdict
from astro_factory.verifiers.base import Verifier


@dataclass(frozen=True, slots=True)
class State:
    """A step as it enters the tree, and what is known after it."""

    text: str
    verdict: Verdict | None = None
    """Of an end; None where the path can go on."""
    closing: str = ""
    facts: dict[str, str] = field(default_factory=dict)


class Reading(NamedTuple):
    """The steps of a completion up to its end or to the first one that is not allowed."""

    states: list[State]
    lines: list[int]
    """For each state the number of the line of the text that it was read from."""

    @property
    def score(self) -> float:
        """1 for a right end, 0 for a wrong one or none."""
        verdict = self.states[-1].verdict if self.states else None
        return float(verdict is not None and verdict.correct)

    def first(self) -> "Reading":
        """Its first step alone."""
        return Reading(self.states[:1], self.lines[:1])


class Judge:
    """A problem with its verifier and what separates steps. What was judged once is remembered: samples repeat."""

    def __init__(self, problem: Problem, verifier: Verifier, delimiter: str):
        self.problem = problem
        self._verifier = verifier
        self._delimiter = delimiter
        self._states: dict[tuple[tuple[str, ...], str, bool], State | None] = {}

    def root_facts(self) -> dict[str, str]:
        return self._verifier.facts(self.problem, [])

    def read(self, before: Sequence[str], text: str, finish: str, limit: int) -> Reading:
        """The steps in `text`, a sample that follows the steps `before`; at most `limit` of them.

        `finish` is the sample's: one that ran out of tokens lost its last line; one at the model's end makes its last
        step an end, whatever the verifier thinks of it.
        """
        lines = text.split(self._delimiter)
        if finish == "length":
            lines.pop()
        steps, reading = tuple(before), Reading([], [])
        filled = [number for number, line in enumerate(lines) if line.strip()]
        for number in filled[:limit]:
            state = self._state(steps, lines[number].strip(), finish == "eos" and number == filled[-1])
            if state is None:
                break
            steps = (*steps, state.text)
            reading.states.append(state)
            reading.lines.append(number)
            if state.verdict is not None:
                break
        return reading

    def _state(self, *step: Any) -> State | None:
        # A cache of the method would hold the judge in a cycle, and its tree's states until the collector comes by.
        if step not in self._states:
            self._states[step] = self._judged(*step)
        return self._states[step]

    def _judged(self, before: tuple[str, ...], line: str, ended: bool) -> State | None:
        text = self._verifier.complete_step(self.problem, before, line)
        if text is None:
            return None
        steps = [*before, text]
        facts = self._verifier.facts(self.problem, steps)
        if not ended and not self._verifier.is_terminal(self.problem, steps):
            return State(text, facts=facts)
        closing = self._verifier.closing(self.problem, steps)
        response = self._delimiter.join([*steps, closing] if closing else steps)
        return State(text, self._verifier.verify(self.problem, response), closing, facts)
