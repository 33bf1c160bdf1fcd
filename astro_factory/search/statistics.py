"""What a table of trees holds, counted while it is written."""

from typing import Any

from astro_factory.core.verdicts import Outcome


class Statistics:
    """Counts over rows of `trees.parquet`, for the `statistics.json` beside it."""

    def __init__(self) -> None:
        self._trees = self._solved = self._nodes = self._right = self._wrong = self._tokens = self._calls = 0

    def counted(self, row: dict[str, Any]) -> dict[str, Any]:
        """Counts a row and gives it back."""
        nodes = row["nodes"]
        right = sum(node["verdict"] == Outcome.CORRECT for node in nodes)
        wrong = {node["answer"] for node in nodes if node["verdict"] == Outcome.INCORRECT}
        self._trees += 1
        self._solved += right > 0
        self._nodes += len(nodes)
        self._right += right
        self._wrong += len(wrong)
        self._tokens += row["tokens"]
        self._calls += len(row["calls"])
        return row

    def figures(self) -> dict[str, int]:
        return {
            "trees": self._trees,
            "solved": self._solved,
            "nodes": self._nodes,
            "right_ends": self._right,
            "distinct_wrong_answers": self._wrong,
            "samples": self._calls,
            "tokens": self._tokens,
        }
