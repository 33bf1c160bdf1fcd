"""Our verifiers as the scorer of a task of lm-evaluation-harness, beside the harness's own extraction and comparison.

The task's file, which `evaluation.harness` writes, names `process_results`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from astro_factory.core.problems import Problem
from astro_factory.verifiers.registry import get_verifier

STATED = r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}|(?i:answer(?: is)?:?)\s+(.+)"
"""What the harness's `regex` filter takes as the answer: the last box, or what follows the last "answer"."""
_SAME = {"ignore_case": True, "regexes_to_ignore": [r"\s", ",", r"\$", r"\.$"]}
"""What its `exact_match` overlooks, in the way of its tasks for GSM8K."""


def process_results(doc: Mapping[str, Any], results: Sequence[Sequence[str]]) -> dict[str, float]:
    """Shares of right responses of one problem: `verdict` by our verifier, `exact_match` by the harness.

    Args:
        doc: a row of `problems.parquet`.
        results: one element, the responses.
    """
    from lm_eval.api.metrics import exact_match_fn
    from lm_eval.filters.extraction import RegexFilter

    (responses,) = results
    problem = Problem.from_row(dict(doc))
    right = [get_verifier(problem.verifier).verify(problem, response).correct for response in responses]
    (stated,) = RegexFilter(STATED, group_select=-1).apply([responses], [dict(doc)])
    exact = exact_match_fn(predictions=stated, references=[problem.answer] * len(stated), **_SAME)
    return {"verdict": sum(right) / len(right), "exact_match": float(exact["exact_match"])}
