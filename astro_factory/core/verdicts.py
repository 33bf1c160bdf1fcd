"""Verdicts: what a verifier returns instead of a bare number."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The kinds of verdicts. Only the `reward` of a spec maps them to numbers."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    NO_ANSWER = "no_answer"
    UNPARSEABLE_GOLD = "unparseable_gold"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome, with the extracted answer and how it was parsed."""

    outcome: Outcome
    extracted: str = ""
    """The answer as written in the response."""
    detail: str = ""
    """The reason for the outcome."""
    parsed: str = ""
    """One spelling for all ways of writing the answer; empty if it could not be parsed or only its text counts."""
    gold: str = ""
    """The known answer in the same spelling."""

    def __post_init__(self) -> None:
        """Take an outcome by its name too, as in `Verdict("correct")`. Raises ValueError for another name."""
        object.__setattr__(self, "outcome", Outcome(self.outcome))

    @property
    def correct(self) -> bool:
        return self.outcome is Outcome.CORRECT

    @property
    def answer(self) -> str:
        """The text by which maj@k counts votes and wrong answers are told apart."""
        return self.parsed or self.extracted
