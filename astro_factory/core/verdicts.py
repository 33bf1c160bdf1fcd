"""What a verifier says: never a bare number."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Rewards map an outcome to a number in the spec; nothing else does."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    NO_ANSWER = "no_answer"
    UNPARSEABLE_GOLD = "unparseable_gold"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome with what was extracted from the response and how it was read."""

    outcome: Outcome
    extracted: str = ""
    """The answer as found in the response; what maj@k and unique wrong answers compare."""
    detail: str = ""
    """Why, where the outcome alone does not say it."""

    @property
    def correct(self) -> bool:
        return self.outcome is Outcome.CORRECT
