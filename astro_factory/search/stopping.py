"""When a tree is done before its budget is spent."""

from astro_factory.search.config import StopRule
from astro_factory.search.tree_builder import TreeBuilder


def enough(ends: tuple[int, int], rule: StopRule) -> bool:
    """Whether a tree with so many right ends and different wrong answers is done."""
    return ends[0] >= rule.right and ends[1] >= rule.wrong_distinct


class Stopping:
    """Asked once after each iteration of a tree."""

    def __init__(self, builder: TreeBuilder, rule: StopRule | None):
        self._builder, self._rule = builder, rule
        self._ends = (0, 0)
        self._idle = 0
        """Iterations in a row that brought no new end."""

    def now(self) -> bool:
        if self._rule is None:
            return False
        ends = self._builder.ends()
        self._idle = self._idle + 1 if ends == self._ends else 0
        self._ends = ends
        return enough(ends, self._rule) or self._idle == self._rule.patience
