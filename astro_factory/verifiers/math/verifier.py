"""The `math` verifier: extract the final answer, compare it with the known one, give a verdict.

What can be read as a number or as words is compared here. Everything else goes to a worker process, because a computer
algebra system can hang on a short text. An answer that is too long or nests too deeply is not parsed at all. The rules
of equality are in docs/guide/equality.md.
"""

from collections.abc import Sequence
from functools import cache

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.core.workers import WorkerDied, WorkerError, WorkerTimeout
from astro_factory.verifiers.base import Verifier
from astro_factory.verifiers.math.choices import choice_of, states_choice
from astro_factory.verifiers.math.claims import facts_of
from astro_factory.verifiers.math.comparison import Comparison
from astro_factory.verifiers.math.extraction import final_answer, unwrap
from astro_factory.verifiers.math.numbers import Number, as_number
from astro_factory.verifiers.math.words import as_words
from astro_factory.verifiers.pool import WorkerPool, refuse, worker_count

CPU_S = 3.0
"""Computing time of one comparison."""
TIMEOUT_S = 120.0
"""Waiting time of one comparison; only a fault of the system takes so long."""
MEMORY_BYTES = 512 << 20
"""Address space of one process."""
MAX_SHOWN_CHARS = 200

_NO_GOLD = frozenset(("nan", "null", "n/a", "na", "?", "??", "-"))
_KNOWN_PAIR = ("x", "x")
"""A comparison that works wherever a worker does."""


class MathVerifier(Verifier):
    """`problem.answer` is a number, an expression, a set, words, … in LaTeX or plain text; boxed or not."""

    name = "math"
    version = 6

    def check_problem(self, problem: Problem) -> str | None:
        gold = unwrap(problem.answer)
        if not gold:
            return "the answer is empty"
        if gold.casefold() in _NO_GOLD:
            return f"the answer '{gold}' is no answer"
        if reason := refuse(gold):
            return f"the answer is {reason}" if reason.startswith("longer") else f"the answer {reason}"
        if as_number(gold) or as_words(gold) or states_choice(gold):
            return None
        try:
            fault = _compare(gold, gold).gold_fault
        except WorkerError as error:
            return f"the answer cannot be parsed: {error.last_line}"
        return f"the answer cannot be parsed as mathematics: {fault}" if fault else None

    def verify(self, problem: Problem, response: str) -> Verdict:
        return judge_answer(problem.answer, final_answer(response))

    def same(self, problem: Problem, first: str, second: str) -> bool:
        if first == second:
            return True
        if not first or not second or refuse(first) or refuse(second):
            return False
        return _verdict(first, second).correct

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        return bool(steps) and bool(final_answer(steps[-1]))

    def facts(self, problem: Problem, steps: Sequence[str]) -> dict[str, str]:
        """What the last step calculates, and whether it is right; see `claims.facts_of`. The known answer plays no
        part."""
        return facts_of(steps[-1]) if steps else {}


def judge_answer(gold: str, answer: str) -> Verdict:
    """The verdict on an extracted answer."""
    if not answer:
        return Verdict(Outcome.NO_ANSWER)
    if reason := refuse(answer):
        return Verdict(Outcome.INCORRECT, answer[:MAX_SHOWN_CHARS], f"not parsed: {reason}")
    gold = unwrap(gold)
    if not gold or gold.casefold() in _NO_GOLD:
        return Verdict(Outcome.UNPARSEABLE_GOLD, answer, "there is no known answer")
    if reason := refuse(gold):
        return Verdict(Outcome.UNPARSEABLE_GOLD, answer, reason)
    return _by_number(gold, answer) or _by_choice(gold, answer) or _verdict(gold, answer)


def _verdict(gold: str, answer: str) -> Verdict:
    return _by_number(gold, answer) or _by_words(gold, answer) or _by_value(gold, answer)


def _by_number(gold: str, answer: str) -> Verdict | None:
    theirs, ours = as_number(gold), as_number(answer)
    if theirs is None or ours is None:
        return None
    if theirs.equals(ours):
        return Verdict(Outcome.CORRECT, answer, "equal numbers", _shown(theirs), _shown(theirs))
    return Verdict(Outcome.INCORRECT, answer, "different numbers", _shown(ours), _shown(theirs))


def _shown(number: Number) -> str:
    return str(number.value)


def _by_words(gold: str, answer: str) -> Verdict | None:
    words = as_words(gold)
    if not words or words != as_words(answer):
        return None
    return Verdict(Outcome.CORRECT, answer, "equal words", words, words)


def _by_choice(gold: str, answer: str) -> Verdict | None:
    r"""A letter of a multiple choice, perhaps with what it stands for: `(C)`, `C`, `\textbf{(C)}\ 12`."""
    theirs, ours = choice_of(gold, is_gold=True), choice_of(answer)
    if theirs is None:
        # a letter before the answer that is wanted: `\textbf{(B)}\ 12` for 12
        return _verdict(gold, ours.value) if ours and ours.value else None
    if ours is None:
        return _verdict(theirs.value, answer) if theirs.value else None
    if ours.letter == theirs.letter and ours.value and theirs.value:
        return _verdict(theirs.value, ours.value)
    if theirs.is_bare and ours.is_bare and gold != answer:
        return None if ours.letter != theirs.letter else Verdict(Outcome.INCORRECT, answer, "", answer, gold)
    outcome = Outcome.CORRECT if ours.letter == theirs.letter else Outcome.INCORRECT
    return Verdict(outcome, answer, "", ours.letter, theirs.letter)


def _by_value(gold: str, answer: str) -> Verdict:
    try:
        found = _compare(gold, answer)
    except WorkerTimeout as error:
        return Verdict(Outcome.TIMEOUT, answer, str(error))
    except WorkerDied as error:
        return Verdict(Outcome.ERROR, answer, error.last_line)
    except WorkerError as error:
        return Verdict(Outcome.INCORRECT, answer, error.last_line)
    if found.gold_fault:
        return Verdict(Outcome.UNPARSEABLE_GOLD, answer, found.gold_fault, found.answer)
    if found.equal:
        # all right answers are one answer, however they are written
        return Verdict(Outcome.CORRECT, answer, "equal by value", found.gold, found.gold)
    return Verdict(Outcome.INCORRECT, answer, found.answer_fault, found.answer, found.gold)


def _compare(gold: str, answer: str) -> Comparison:
    """The comparison by a worker; one that dies is tried again.

    An answer that ends its worker twice, where another comparison works, is at fault itself.

    Raises:
        WorkerTimeout: it took more than its computing time.
        WorkerDied: no worker stays alive.
    """
    try:
        return _pool().call((gold, answer))
    except WorkerTimeout:
        raise
    except WorkerDied:
        pass
    try:
        return _pool().call((gold, answer))
    except WorkerTimeout:
        raise
    except WorkerDied as error:
        _pool().call(_KNOWN_PAIR)
        return Comparison(False, answer_fault=f"comparing it ends the process: {error.last_line}")


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
