"""What a worker process returns. Imports nothing, so that the caller's process need not load sympy."""

from typing import NamedTuple


class Comparison(NamedTuple):
    """Whether two answers are equal, one spelling of each for all its forms, and what is wrong with each."""

    equal: bool
    gold: str = ""
    answer: str = ""
    gold_fault: str = ""
    answer_fault: str = ""
