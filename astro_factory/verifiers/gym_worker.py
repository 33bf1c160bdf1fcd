"""The scoring that runs in the worker processes of the reasoning-gym verifier: some tasks evaluate model output."""

from functools import cache
from typing import Any

# Imported here and not in the function, so that a call's time limit does not include it.
try:
    import reasoning_gym
except ImportError:
    reasoning_gym = None


def score(call: tuple[str, dict[str, Any], str]) -> float | None:
    """Score of an answer, 0 to 1, by the named task; None if reasoning-gym has no such task.

    Args:
        call: task, the entry (`question`, `answer`, `metadata`), and the answer to score.
    """
    task, entry, answer = call
    scorer = _scorer(task)
    return None if scorer is None else float(scorer(answer=answer, entry=entry))


@cache
def _scorer(task: str) -> Any:
    assert reasoning_gym is not None
    try:
        return reasoning_gym.get_score_answer_fn(task)
    except ValueError:
        return None
