"""Answers that are one answer: maj@k counts `\\sqrt{8}` and `2\\sqrt{2}` as two votes for one thing."""

from collections.abc import Callable, Sequence


def representatives(answers: Sequence[str], same: Callable[[int, int], bool]) -> list[str]:
    """For each answer the first one that it is equal to; empty answers, which do not vote, stay empty.

    Args:
        answers: spellings; equal ones are equal answers.
        same: whether the answers at two positions are one answer; asked once for two spellings, and only where they
            differ.
    """
    first_at: dict[str, int] = {}
    spelling: dict[str, str] = {"": ""}
    for index, answer in enumerate(answers):
        if answer in spelling:
            continue
        equal = next((other for other, position in first_at.items() if same(position, index)), None)
        if equal is None:
            first_at[answer] = index
        spelling[answer] = equal if equal is not None else answer
    return [spelling[answer] for answer in answers]
