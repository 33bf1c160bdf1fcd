"""A problem: the question, the known answer, and the verifier that decides."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of a problem source.

    `info` has what a verifier needs beyond the answer (the numbers of a countdown puzzle, a task's metadata). It is
    stored as a JSON column, so sources with different fields share one table format.
    """

    id: str
    question: str
    answer: str
    verifier: str
    info: dict[str, Any] = field(default_factory=dict)
    level: str = ""
    """Group in reports, such as `4 numbers`; may be empty."""

    def as_row(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "question": self.question,
            "answer": self.answer,
            "verifier": self.verifier,
            "info": json.dumps(self.info, sort_keys=True),
            "level": self.level,
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Problem":
        return cls(row["id"], row["question"], row["answer"], row["verifier"], json.loads(row["info"]), row["level"])


def problem_schema() -> Any:
    """The `pyarrow.Schema` of `problems.parquet`, one column per field; `info` is canonical JSON."""
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in ("id", "question", "answer", "verifier", "info", "level")])
