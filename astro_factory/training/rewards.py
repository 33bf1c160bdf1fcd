"""The reward of a verdict."""

from astro_factory.core.verdicts import Outcome
from astro_factory.training.alarms import UNJUDGED
from astro_factory.training.settings import Reward


def reward_of(reward: Reward, outcome: Outcome, truncated: bool, length: float = 0.0) -> float | None:
    """Reward of a response; None excludes a response that could not be judged through no fault of its own.

    `length` is the response's tokens as a share of the limit.
    """
    if outcome in UNJUDGED:
        return None
    if truncated and reward.truncated is not None:
        return reward.truncated
    if outcome is Outcome.CORRECT:
        return reward.correct - reward.length_cost * length
    if outcome is Outcome.NO_ANSWER and reward.no_answer is not None:
        return reward.no_answer
    if outcome is Outcome.TIMEOUT and reward.timeout is not None:
        return reward.timeout
    return reward.incorrect
