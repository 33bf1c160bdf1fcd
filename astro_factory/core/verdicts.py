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
    """The answer as it stands in the response."""
    detail: str = ""
    """Why, where the outcome alone does not say it."""
    parsed: str = ""
    """One spelling for all ways of writing the answer, as far as it could be read; empty where texts count as such."""
    gold: str = ""
    """The known answer in that spelling."""

    @property
    def correct(self) -> bool:
        return self.outcome is Outcome.CORRECT

    @property
    def answer(self) -> str:
        """What maj@k votes on and what tells wrong answers apart."""
        return self.parsed or self.extracted
