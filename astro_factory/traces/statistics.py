"""Counts over the traces of all trees: the figures of `statistics.json`."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class TraceStatistics:
    """Counts over all trees; `add` one after another."""

    problems: int = 0
    used: int = 0
    traces: int = 0
    distinct: int = 0
    steps: int = 0
    characters: int = 0
    longest: int = 0
    tokens: int = 0
    backtracks: Counter[int] = field(default_factory=Counter)
    wrong: Counter[int] = field(default_factory=Counter)
    dropped_problems: Counter[str] = field(default_factory=Counter)
    dropped_traces: Counter[str] = field(default_factory=Counter)

    def add(self, rows: list[dict[str, Any]], dropped: Counter[str]) -> None:
        """Add one tree's traces, and the reasons why others were dropped."""
        texts = [row["messages"][-1]["content"] for row in rows]
        self.problems += 1
        self.used += bool(rows)
        self.traces += len(rows)
        self.distinct += len(set(texts))
        self.steps += sum(segment["kind"] == "step" for row in rows for segment in row["segments"])
        self.characters += sum(map(len, texts))
        self.longest = max([self.longest, *map(len, texts)])
        self.tokens += sum(row.get("num_tokens", 0) for row in rows)
        self.backtracks.update(row["num_backtracks"] for row in rows)
        self.wrong.update(row["num_wrong"] for row in rows)
        self.dropped_traces += dropped
        if not rows:
            self.dropped_problems.update([reason for reason, _ in dropped.most_common(1)] or ["not_matched"])

    def as_json(self) -> dict[str, Any]:
        """The figures. `wrong_ends` appears only if it differs from `backtracks`, `tokens` only if counted."""
        traces = max(self.traces, 1)
        figures = {
            "problems": self.problems,
            "problems_used": self.used,
            "problems_dropped": dict(sorted(self.dropped_problems.items())),
            "traces": self.traces,
            "traces_distinct": self.distinct,
            "traces_dropped": dict(sorted(self.dropped_traces.items())),
            "backtracks": _histogram(self.backtracks),
            "backtracks_mean": _mean(self.backtracks, traces),
            "steps_mean": self.steps / traces,
            "characters_mean": self.characters / traces,
            "characters_longest": self.longest,
        }
        if self.wrong != self.backtracks:
            figures |= {"wrong_ends": _histogram(self.wrong), "wrong_ends_mean": _mean(self.wrong, traces)}
        if self.tokens:
            figures |= {"tokens": self.tokens, "tokens_mean": self.tokens / traces}
        return figures


def _histogram(counts: Counter[int]) -> dict[str, int]:
    return {str(number): count for number, count in sorted(counts.items())}


def _mean(counts: Counter[int], traces: int) -> float:
    return sum(number * count for number, count in counts.items()) / traces
