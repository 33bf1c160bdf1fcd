"""Mathematical answers: equal as exact numbers, as words, or by value in a killable process.

What can be read as a number or as words is compared here. Everything else goes to a worker, because a parser or a
computer algebra system can hang on a short text (`9^{9^{9}}`). An answer that is too long or nests too deeply is not
parsed at all. docs/guide/verdicts.md has the rules.
"""

import re
from collections.abc import Sequence
from functools import cache

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.core.workers import WorkerError, WorkerTimeout
from astro_factory.verifiers.base import Verifier
from astro_factory.verifiers.math.extraction import final_answer, unwrap
from astro_factory.verifiers.math.words import as_words
from astro_factory.verifiers.math.numbers import Number, as_number
from astro_factory.verifiers.pool import WorkerPool, last_line, refuse, worker_count

CPU_S = 3.0
"""Computing time of one comparison."""
TIMEOUT_S = 120.0
"""Waiting time of one comparison; only a fault of the system takes so long."""
MEMORY_BYTES = 512 << 20
"""Address space of one process."""
MAX_SHOWN_CHARS = 200

_NO_GOLD = {"nan", "null", "n/a", "na", "?", "??", "-"}
_MARKED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|rm|bf)\s*\{([^{}]*)\}")
_CHOICE = re.compile(
    r"(?:(?:option|choice)\s+)?(?:\(([A-J])\)\s*(?![-+*/^=(,;])(.*)|([A-J])(?:[.):]+\s+(.*))?)",
    re.DOTALL | re.IGNORECASE,
)


class MathVerifier(Verifier):
    """`problem.answer` is a number, an expression, a set, words, … in LaTeX or plain text; boxed or not."""

    name = "math"
    version = 3

    def check_problem(self, problem: Problem) -> str | None:
        gold = unwrap(problem.answer)
        if not gold:
            return "the answer is empty"
        if gold.casefold() in _NO_GOLD:
            return f"the answer '{gold}' is no answer"
        if reason := refuse(gold):
            return f"the answer is {reason}" if reason.startswith("longer") else f"the answer {reason}"
        if as_number(gold) or as_words(gold):
            return None
        try:
            fault = _pool().call((gold, gold)).gold_fault
        except WorkerError as error:
            return f"the answer cannot be parsed: {last_line(error)}"
        return f"the answer cannot be parsed as mathematics: {fault}" if fault else None

    def verify(self, problem: Problem, response: str) -> Verdict:
        answer = final_answer(response)
        if not answer:
            return Verdict(Outcome.NO_ANSWER)
        if reason := refuse(answer):
            return Verdict(Outcome.INCORRECT, answer[:MAX_SHOWN_CHARS], f"not parsed: {reason}")
        gold = unwrap(problem.answer)
        if not gold or gold.casefold() in _NO_GOLD:
            return Verdict(Outcome.UNPARSEABLE_GOLD, answer, "there is no known answer")
        if reason := refuse(gold):
            return Verdict(Outcome.UNPARSEABLE_GOLD, answer, reason)
        return _by_choice(gold, answer) or _verdict(gold, answer)

    def same(self, problem: Problem, first: str, second: str) -> bool:
        if first == second:
            return True
        if not first or not second or refuse(first) or refuse(second):
            return False
        return _verdict(first, second).correct

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        return bool(steps) and bool(final_answer(steps[-1]))


def _verdict(gold: str, answer: str) -> Verdict:
    return _by_number(gold, answer) or _by_words(gold, answer) or _by_value(gold, answer)


def _by_number(gold: str, answer: str) -> Verdict | None:
    theirs, ours = as_number(gold), as_number(answer)
    if theirs is None or ours is None:
        return None
    if theirs.equals(ours):
        return Verdict(Outcome.CORRECT, answer, "equal numbers", _shown(theirs), _shown(theirs))
    return Verdict(Outcome.INCORRECT, answer, "different numbers", _shown(ours), _shown(theirs))


def _by_words(gold: str, answer: str) -> Verdict | None:
    words = as_words(gold)
    if not words or words != as_words(answer):
        return None
    return Verdict(Outcome.CORRECT, answer, "equal words", words, words)


def _by_choice(gold: str, answer: str) -> Verdict | None:
    """A letter of a multiple choice, perhaps with what it stands for: `(C)`, `C`, `\\textbf{(C)}\\ 12`."""
    theirs = _choice(gold)
    ours = _choice(answer)
    if theirs is None:
        # a letter before the answer that is wanted: `\\textbf{(B)}\\ 12` for 12
        return _verdict(gold, ours[1]) if ours and ours[1] else None
    if ours is not None:
        if ours[0] == theirs[0] and ours[1] and theirs[1]:  # a letter with a value behind it
            return _verdict(theirs[1], ours[1])
        outcome = Outcome.CORRECT if ours[0] == theirs[0] else Outcome.INCORRECT
        return Verdict(outcome, answer, "", ours[0], theirs[0])
    return _verdict(theirs[1], answer) if theirs[1] else None


def _choice(answer: str) -> tuple[str, str] | None:
    """The letter and what follows it."""
    plain = _MARKED.sub(r"\1", answer).replace("\\ ", " ").replace("$", "").replace("~", " ").strip()
    match = _CHOICE.fullmatch(plain)
    return ((match[1] or match[3]).upper(), (match[2] or match[4] or "").strip()) if match else None


def _by_value(gold: str, answer: str) -> Verdict:
    try:
        found = _pool().call((gold, answer))
    except WorkerTimeout as error:
        return Verdict(Outcome.TIMEOUT, answer, str(error))
    except WorkerError as error:
        return Verdict(Outcome.ERROR, answer, last_line(error))
    if found.gold_fault:
        return Verdict(Outcome.UNPARSEABLE_GOLD, answer, found.gold_fault, found.answer)
    if found.equal:
        # all right answers are one answer, however they are written
        return Verdict(Outcome.CORRECT, answer, "equal by value", found.gold, found.gold)
    return Verdict(Outcome.INCORRECT, answer, found.answer_fault, found.answer, found.gold)


def _shown(number: Number) -> str:
    return str(number.value)


@cache
def _pool() -> WorkerPool:
    return make_pool(worker_count())


def make_pool(size: int) -> WorkerPool:
    """The processes that compare answers, each with the verifier's limits."""
    return WorkerPool(
        "astro_factory.verifiers.math.worker:compare",
        size=size,
        timeout_s=TIMEOUT_S,
        cpu_s=CPU_S,
        memory_bytes=MEMORY_BYTES,
        respawn=True,
    )
