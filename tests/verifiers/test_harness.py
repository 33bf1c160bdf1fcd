"""Both verdicts of a task of lm-evaluation-harness: ours, and the harness's own filter and comparison."""

import pytest

from astro_factory.core.problems import Problem

PUZZLE = Problem("c", "numbers 4 10 3 target 17", "( 4 + 10 ) + 3", "countdown", {"numbers": [4, 10, 3], "target": 17})
HALF = Problem("m", "?", r"\frac{1}{2}", "math")
CASES = [
    # problem, responses, right by our verifier, right by exact match
    (PUZZLE, ["answer ( 4 + 10 ) + 3"], 1, 1),
    (PUZZLE, ["Wait . No .\nanswer ( 3 + 10 ) + 4"], 1, 0),
    (PUZZLE, ["answer ( 4 + 10 ) - 3", "answer ( 4 + 10 ) + 3"], 0.5, 0.5),
    (PUZZLE, ["left"], 0, 0),
    (HALF, [r"So it is $\boxed{\frac{1}{2}}$."], 1, 1),
    (HALF, [r"First $\boxed{3}$, then $\boxed{\frac{1}{2}}$."], 1, 1),
    (HALF, [r"The answer is $\frac{1}{2}$."], 1, 1),
    (HALF, [r"It is \boxed{0.5}."], 1, 0),
    (HALF, [r"\boxed{\frac{2}{1}}", "0.5", "The answer is 0.5", r"\boxed{1/2}"], 0.5, 0),
    (Problem("n", "?", "1,000", "math"), [r"\boxed{1000}", "Answer: $1000"], 1, 1),
]


@pytest.mark.parametrize(("problem", "responses", "verdict", "exact"), CASES)
def test_both_verdicts(problem, responses, verdict, exact):
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from astro_factory.verifiers.harness import process_results

    doc = {"source": "test"} | problem.as_row()
    assert process_results(doc, [responses]) == {"verdict": verdict, "exact_match": exact}
