"""Bounds of the alarms of reinforcement learning."""

from typing import Annotated

from pydantic import Field

from astro_factory.core.config import LATER, Config


class Alarm(Config):
    """Values above which training raises an alarm at a point of the curves. For shares, 1 turns a bound off."""

    no_answer: float = Field(default=0.5, ge=0, le=1)
    """Highest share of responses without an answer."""
    timeout: float = Field(default=0.05, ge=0, le=1)
    """Highest share of responses whose verification timed out."""
    unjudged: float = Field(default=0.01, ge=0, le=1)
    """Highest share of responses that could not be judged through no fault of their own: the verifier failed, or the
    known answer cannot be parsed."""
    corrected: float = Field(default=0.05, ge=0, le=1)
    """Highest share of sampled tokens whose importance weight is cut (`rollouts.correction`)."""
    wording: Annotated[float, LATER] = Field(default=0.3, ge=0, le=1)
    """Highest share of backtracks that are not in the words of `template`, in domains that know states: the responses
    still go back, but their language has drifted."""
    jump: float = Field(default=0.2, ge=0, le=1)
    """How far one of these shares may rise above its mean over the last ten points."""
    mismatch: float = Field(default=0.05, gt=0)
    """Highest mean difference between the log-probabilities of the engine and of training, per token."""
    growth: float = Field(default=3.0, gt=1)
    """By which factor the mismatch may exceed its mean over the last ten points."""
    stop: bool = False
    """Whether an alarm stops training instead of only logging a warning."""
