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
        self._checks = 0

    def is_met(self) -> bool:
        """Whether to stop now; always false without a rule."""
        if self._rule is None:
            return False
        self._checks += 1
        correct, wrong = self._builder.count_terminals()
        self._idle = self._idle + 1 if (correct, wrong) == self._last else 0
        self._last = correct, wrong
        rule = self._rule
        enough = has_enough(correct, wrong, rule) and self._checks >= rule.min_iterations
        too_easy = rule.solved is not None and correct >= rule.solved and wrong < rule.wrong_distinct
        return enough or too_easy or self._idle == rule.patience
