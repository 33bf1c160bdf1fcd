"""Splits a model's text into steps and lets the verifier judge each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.step_format import StepFormat, StepLayout, written
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
    """For each step, the number of the piece that it was read from, as in `Prompts.line_logprobs`."""

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

    def __init__(self, problem: Problem, verifier: Verifier, layout: StepLayout):
        self.problem = problem
        self._verifier = verifier
        self._layout = layout
        self.samples = self.split_samples = 0
        """Samples parsed, and those among them that the step format splits."""
        self.unsplit = ""
        """Start of a sample that the step format does not split."""
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

        `finish` is the sample's finish reason. With `length` the last step is incomplete and dropped; with `eos` the
        last step is a terminal, whatever the verifier thinks of it. Where steps are numbered, what stands before the
        first number is no step.
        """
        pieces = self._layout.split(text)
        self._count(text, finish)
        if finish == "length":
            pieces = pieces[:-1]
        if finish != "eos" and isinstance(self._layout, StepFormat):
            cut = self._layout.open_from(text)
            pieces = pieces if cut is None else [piece for piece in pieces if piece.start < cut]
        if isinstance(self._layout, StepFormat) and self._layout.has_markers and not before:
            pieces = [piece if piece.number is not None else piece._replace(text="") for piece in pieces]
        path, parsed = tuple(before), ParsedSteps([], [])
        filled = [number for number, piece in enumerate(pieces) if piece.text]
        for number in filled[:limit]:
            step = self._parse_line(path, pieces[number].text, finish == "eos" and number == filled[-1])
            if step is None:
                break
            path = (*path, step.text)
            parsed.steps.append(step)
            parsed.lines.append(number)
            if step.verdict is not None:
                break
        return parsed

    def _count(self, text: str, finish: str) -> None:
        """Count a sample, to notice a step format in which the model does not write."""
        if isinstance(self._layout, StepFormat) and text.strip():
            self.samples += 1
            if self._layout.is_step(text, finish == "stop"):
                self.split_samples += 1
            elif not self.unsplit:
                self.unsplit = text.strip()[:300]

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
        response = written(self._layout, steps, closing)
        return ParsedStep(text, self._verifier.verify(self.problem, response), closing, facts)
