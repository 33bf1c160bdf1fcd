"""Equal answers in different spellings: maj@k counts `\\sqrt{8}` and `2\\sqrt{2}` as two votes for one answer."""

from collections.abc import Callable, Sequence


def representatives(answers: Sequence[str], same: Callable[[int, int], bool]) -> list[str]:
    """Replace each answer by the first one it equals; empty answers, which do not vote, stay empty.

    Args:
        answers: equal spellings are equal answers.
        same: whether the answers at two positions are equal; called once for each pair of different spellings.
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
