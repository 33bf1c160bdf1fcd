"""Answers to tasks of reasoning-gym, scored by the task's own rule in a killable process.

`problem.info` holds the task's name and what the task keeps about the entry, as `pack` writes it:
`{"task": "chain_sum", "metadata": {...}}`. The answer is between `<answer>` tags, or where that of a
mathematical problem would be.
"""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.core.workers import WorkerError, WorkerTimeout
from astro_factory.verifiers.base import Verifier
from astro_factory.verifiers.math.extraction import final_answer, tagged_answer
from astro_factory.verifiers.math.numbers import as_number
from astro_factory.verifiers.pool import WorkerPool, worker_count

CPU_S = 10.0
TIMEOUT_S = 120.0
MEMORY_BYTES = 4 << 30
MAX_CHARS = 20_000
"""Longest answer that is scored; grids and programs are longer than formulas."""


def require_gym() -> None:
    """Raise a user error where reasoning-gym is not installed."""
    if find_spec("reasoning_gym") is None:
        raise UserError.of(
            "E403", "reasoning-gym is not installed", "install it with `pip install 'astro-factory[gym]'`"
        )


class ReasoningGymVerifier(Verifier):
    """Only the full score counts as correct. Tasks that accept any valid solution may come without an answer."""

    name = "reasoning_gym"
    version = 3

    def check_problem(self, problem: Problem) -> str | None:
        require_gym()
        if not isinstance(problem.info.get("task"), str) or not isinstance(problem.info.get("metadata"), dict):
            return "info needs 'task', a name, and 'metadata', a mapping"
        try:
            score = _score(problem, problem.answer)
        except WorkerError as error:
            return f"its task cannot score the answer: {error.last_line}"
        if score is None:
            return f"reasoning-gym has no task '{problem.info['task']}'"
        if problem.answer and score < 1:
            return f"its own answer scores {score:g}, not 1"
        return None

    def verify(self, problem: Problem, response: str) -> Verdict:
        answer = extract(response)
        if not answer:
            return Verdict(Outcome.NO_ANSWER)
        if len(answer) > MAX_CHARS:
            return Verdict(Outcome.INCORRECT, answer[:200], f"not scored: longer than {MAX_CHARS} characters")
        try:
            score = _score(problem, answer)
        except WorkerTimeout as error:
            return Verdict(Outcome.TIMEOUT, answer, str(error))
        except WorkerError as error:
            return Verdict(Outcome.ERROR, answer, error.last_line)
        if score is None:
            return Verdict(Outcome.ERROR, answer, f"no task '{problem.info['task']}'")
        if score >= 1 and _holds_more(answer, problem.answer):
            return Verdict(Outcome.INCORRECT, answer, f"score {score:g}, but it holds more than the known answer")
        return Verdict(Outcome.CORRECT if score >= 1 else Outcome.INCORRECT, answer, f"score {score:g}")

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        return bool(steps) and bool(extract(steps[-1]))


def _holds_more(answer: str, known: str) -> bool:
    """Whether the known answer is in the answer beside other words or digits: some tasks overlook what follows it."""
    before, found, after = answer.partition(known)
    if not known or not found or not any(char.isalnum() for char in before + after):
        return False
    number, other = as_number(answer), as_number(known)
    return number is None or other is None or number.value != other.value


def extract(response: str) -> str:
    """The last tagged answer, else the last boxed or stated one; empty where there is none."""
    tagged = tagged_answer(response)
    return final_answer(response) if tagged is None else tagged


def pack(value: Any) -> Any:
    """A task's metadata as JSON takes it: a tuple becomes `{"tuple": [...]}`, because some tasks compare types.

    Raises:
        TypeError: for a value that JSON cannot hold.
    """
    if isinstance(value, tuple):
        return {"tuple": [pack(item) for item in value]}
    if isinstance(value, list):
        return [pack(item) for item in value]
    if isinstance(value, dict):
        return {key: pack(item) for key, item in value.items()}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"metadata holds a {type(value).__name__}")


def unpack(value: Any) -> Any:
    """What `pack` was given."""
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"tuple"} and isinstance(value["tuple"], list):
            return tuple(unpack(item) for item in value["tuple"])
        return {key: unpack(item) for key, item in value.items()}
    return value


def _score(problem: Problem, answer: str) -> float | None:
    metadata = unpack(problem.info["metadata"])
    entry = {"question": problem.question, "answer": problem.answer or None, "metadata": metadata}
    return _pool().call((problem.info["task"], entry, answer))


@cache
def _pool() -> WorkerPool:
    target = "astro_factory.verifiers.gym_worker:score"
    return WorkerPool(target, size=worker_count(), timeout_s=TIMEOUT_S, cpu_s=CPU_S, memory_bytes=MEMORY_BYTES)
