"""Mathematical answers: equal as numbers, or equal to math-verify.

Numbers are compared exactly in this process; everything else goes to a killable worker, because a parser or a computer
algebra system can hang on a short text (`9^{9^{9}}`). An answer that is too long or nests too deeply is not parsed at
all.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.core.workers import WorkerError, WorkerTimeout
from astro_factory.verifiers.base import Verifier
from astro_factory.verifiers.extraction import final_answer, unwrap
from astro_factory.verifiers.pool import WorkerPool, last_line, refuse, worker_count

TIMEOUT_S = 5.0
MEMORY_BYTES = 2 << 30
MAX_SHOWN_CHARS = 200

_SPACES = re.compile(r"\\[!,;: ]|~|\s+")
_INTEGER = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_NUMBER = re.compile(rf"([-+]?)({_INTEGER})?(\.\d+)?", re.ASCII)
_RATIO = re.compile(rf"([-+]?)(?:\\[dt]?frac\{{({_INTEGER})\}}\{{({_INTEGER})\}}|({_INTEGER})/({_INTEGER}))", re.ASCII)
_TEXT = re.compile(r"\\(?:text|textbf|textit|mbox|mathrm)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"[^\W\d_][^\W\d_ .,'-]*(?:[ .,'-]+[^\W\d_]+)*|\([A-Za-z]\)")


class Number(NamedTuple):
    """An exact value, and whether it was written without a decimal point (and so cannot be a rounded one)."""

    value: Fraction
    exact: bool


def as_number(answer: str) -> Number | None:
    """The value of a whole number, decimal or fraction, in plain text or LaTeX; None for anything else."""
    text = _SPACES.sub("", answer).replace("{,}", ",")
    match = _NUMBER.fullmatch(text)
    if match and (match[2] or match[3]):
        digits = (match[2] or "0").replace(",", "") + (match[3] or "")
        return Number(Fraction(match[1] + digits), not match[3])
    match = _RATIO.fullmatch(text)
    if match:
        above, below = (int(part.replace(",", "")) for part in match.groups()[1:] if part)
        return Number(Fraction(-above if match[1] == "-" else above, below), True) if below else None
    return None


def as_words(answer: str) -> str:
    """An answer in words (`\\text{Evelyn}`, `(C)`) in lower case; empty for anything else."""
    text = " ".join(_TEXT.sub(r"\1", answer).split())
    return text.strip("()").lower() if _WORDS.fullmatch(text) else ""


class MathVerifier(Verifier):
    """`problem.answer` is a number, an expression in LaTeX, or words; boxed or not."""

    name = "math"

    def check_problem(self, problem: Problem) -> str | None:
        gold = unwrap(problem.answer)
        if not gold:
            return "the answer is empty"
        if reason := refuse(gold):
            return f"the answer is {reason}" if reason.startswith("longer") else f"the answer {reason}"
        if as_number(gold) or as_words(gold):
            return None
        try:
            read = _pool().call((gold, gold)).gold
        except WorkerError as error:
            return f"the answer cannot be parsed: {last_line(error)}"
        return None if read else "the answer cannot be parsed as mathematics"

    def verify(self, problem: Problem, response: str) -> Verdict:
        """`extracted` is one spelling for all forms of a value, as far as it can be read."""
        answer = final_answer(response)
        if not answer:
            return Verdict(Outcome.NO_ANSWER)
        if reason := refuse(answer):
            return Verdict(Outcome.INCORRECT, answer[:MAX_SHOWN_CHARS], f"not parsed: {reason}")
        gold = unwrap(problem.answer)
        if reason := refuse(gold):
            return Verdict(Outcome.UNPARSEABLE_GOLD, answer, reason)
        ours, theirs = as_number(answer), as_number(gold)
        shown = str(ours.value) if ours else as_words(answer)
        if ours and theirs:
            if ours.value == theirs.value:
                return Verdict(Outcome.CORRECT, shown, "equal numbers")
            if ours.exact and theirs.exact:
                return Verdict(Outcome.INCORRECT, shown, "different numbers")
        elif shown and shown == as_words(gold):
            return Verdict(Outcome.CORRECT, shown, "equal words")
        return self._compare(gold, answer, shown)

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        return bool(steps) and bool(final_answer(steps[-1]))

    def _compare(self, gold: str, answer: str, shown: str) -> Verdict:
        try:
            result = _pool().call((gold, answer))
        except WorkerTimeout as error:
            return Verdict(Outcome.TIMEOUT, shown or answer, str(error))
        except WorkerError as error:
            return Verdict(Outcome.ERROR, shown or answer, last_line(error))
        if result.equal:
            number = as_number(gold)
            # all right answers are one answer, however they are written
            shown = str(number.value) if number else as_words(gold) or result.gold or gold
            return Verdict(Outcome.CORRECT, shown, "equal to math-verify")
        shown = shown or result.answer or answer
        if not (result.gold or as_words(gold)):
            return Verdict(Outcome.UNPARSEABLE_GOLD, shown)
        return Verdict(Outcome.INCORRECT, shown, "" if result.answer else "cannot be parsed as mathematics")


@cache
def _pool() -> WorkerPool:
    target = "astro_factory.verifiers.math_worker:compare"
    return WorkerPool(target, size=worker_count(), timeout_s=TIMEOUT_S, memory_bytes=MEMORY_BYTES)
