r"""Mathematical answers: extract the final answer, normalise the LaTeX, parse it, compare it with the gold answer.

    >>> from astro_factory.verifiers.math import judge
    >>> judge(r"\frac{1}{2}", r"So the chance is \boxed{50\%}.").outcome
    <Outcome.CORRECT: 'correct'>

The steps: `extraction` (where the answer is), `latex_normalize` (one notation), `reader` (which type of answer),
`formula_parser` (one formula), `equivalence` (are two answers the same). docs/guide/equality.md has the rules.
"""

from astro_factory.core.verdicts import Verdict

__all__ = ["judge"]


def judge(gold: str, answer: str, question: str = "") -> Verdict:
    r"""The verdict on an answer: a whole response, or just `\frac{1}{2}`.

    Args:
        gold: the known answer, in LaTeX or plain text.
        answer: a response that states its answer (boxed, or after "answer is" or `####`); a text that states none is
            taken to be the answer itself.
        question: the problem. No rule depends on it yet; it makes `judge` fit where a question is at hand.
    """
    from astro_factory.verifiers.math.extraction import final_answer, unwrap
    from astro_factory.verifiers.math.verifier import judge_answer

    return judge_answer(gold, final_answer(answer) or unwrap(answer))
