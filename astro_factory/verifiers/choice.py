"""Multiple choice: a response is correct if it names the right option, by its letter or by its text."""

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.verifiers.base import Verifier
from astro_factory.verifiers.math.choices import choice_of
from astro_factory.verifiers.math.extraction import final_answer
from astro_factory.verifiers.math.verifier import MAX_SHOWN_CHARS, judge_answer
from astro_factory.verifiers.pool import refuse


class ChoiceVerifier(Verifier):
    """`problem.info["options"]` maps letters to texts, and `problem.answer` is the letter of the right option."""

    name = "choice"

    def check_problem(self, problem: Problem) -> str | None:
        options = problem.info.get("options")
        if not isinstance(options, dict) or len(options) < 2:
            return "info needs 'options', a mapping from letters to texts, with at least two"
        if problem.answer not in options:
            return f"the answer '{problem.answer}' is not one of the options {', '.join(options)}"
        return None

    def verify(self, problem: Problem, response: str) -> Verdict:
        """A letter counts before a text; a text or a number has to equal exactly one option."""
        answer = final_answer(response)
        if not answer:
            return Verdict(Outcome.NO_ANSWER)
        letter = _letter(answer, problem.info["options"])
        shown = answer[:MAX_SHOWN_CHARS]
        if not letter:
            return Verdict(Outcome.INCORRECT, shown, "names no option")
        outcome = Outcome.CORRECT if letter == problem.answer else Outcome.INCORRECT
        return Verdict(outcome, shown, f"option {letter}", letter, problem.answer)


def _letter(answer: str, options: dict[str, str]) -> str:
    """The option that an answer names; empty if it names none, or several."""
    if refuse(answer):
        return ""
    named = choice_of(answer)
    if named and named.letter in options:
        return named.letter
    texts = [letter for letter, text in options.items() if _plain(text) == _plain(answer)]
    equal = texts or [letter for letter, text in options.items() if judge_answer(text, answer).correct]
    return equal[0] if len(equal) == 1 else ""


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")
