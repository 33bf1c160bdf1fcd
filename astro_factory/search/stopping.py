"""Stops a tree before its budget is spent."""

from astro_factory.search.config import StopRule
from astro_factory.search.tree_builder import TreeBuilder


def has_enough(correct: int, distinct_wrong: int, rule: StopRule) -> bool:
    """Whether these counts of correct terminals and of different wrong answers satisfy the rule."""
    return correct >= rule.right and distinct_wrong >= rule.wrong_distinct


class StopCondition:
    """Checks a `StopRule` once after each iteration of a tree."""

    def __init__(self, builder: TreeBuilder, rule: StopRule | None):
        self._builder, self._rule = builder, rule
        self._last = (0, 0)
        self._idle = 0
        """Consecutive iterations that found no new terminal."""

    def is_met(self) -> bool:
        """Whether to stop now; always false without a rule."""
        if self._rule is None:
            return False
        counts = self._builder.count_terminals()
        self._idle = self._idle + 1 if counts == self._last else 0
        self._last = counts
        return has_enough(*counts, self._rule) or self._idle == self._rule.patience
