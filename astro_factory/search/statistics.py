"""Counts over a table of trees, collected while it is written."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from astro_factory.core.step_format import StepFormat
from astro_factory.core.verdicts import Outcome

if TYPE_CHECKING:
    import pyarrow as pa

_UNJUDGED = (Outcome.UNPARSEABLE_GOLD, Outcome.TIMEOUT, Outcome.ERROR)


class TreeStatistics:
    """Counts over rows of `trees.parquet`, for the `statistics.json` beside it."""

    def __init__(self, steps: StepFormat | None = None) -> None:
        """`steps` is the policy's step format."""
        self._has_format = steps is not None
        self._counts: Counter[str] = Counter()
        self._unjudged: Counter[str] = Counter()

    def add(self, batch: "pa.RecordBatch") -> "pa.RecordBatch":
        """Count a record batch of one tree; returns the batch, so that this can wrap an iterator."""
        nodes, calls = batch.column("nodes")[0].as_py(), len(batch.column("calls")[0])
        verdicts = Counter(node["verdict"] for node in nodes)
        wrong = {node["answer"] for node in nodes if node["verdict"] == Outcome.INCORRECT}
        self._counts.update(
            trees=1,
            solved=int(verdicts[Outcome.CORRECT] > 0),
            nodes=len(nodes),
            right_ends=verdicts[Outcome.CORRECT],
            distinct_wrong_answers=len(wrong),
            samples=calls,
            tokens=batch.column("tokens")[0].as_py(),
            without_room=int(not calls),
            without_steps=int(self._has_format and bool(calls) and len(nodes) == 1),
        )
        self._unjudged.update({str(outcome): verdicts[outcome] for outcome in _UNJUDGED if verdicts[outcome]})
        return batch

    def as_json(self) -> dict[str, Any]:
        """The counts. `without_room` (prompts that fill the context), `without_steps` (samples without a step in the
        policy's format) and `unjudged_ends` (terminals that the verifier could not judge) appear only where there are
        any."""
        names = ("trees", "solved", "nodes", "right_ends", "distinct_wrong_answers", "samples", "tokens")
        figures: dict[str, Any] = {name: self._counts[name] for name in names}
        for name in ("without_room", "without_steps"):
            if self._counts[name]:
                figures[name] = self._counts[name]
        if self._unjudged:
            figures["unjudged_ends"] = dict(sorted(self._unjudged.items()))
        return figures
