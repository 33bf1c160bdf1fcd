"""The columns of `samples.parquet`: everything a report is made of."""

import json
from typing import Any

from astro_factory.core.problems import Problem

MEASURES = ("backtracks", "dead_ends", "revisited", "unresolved")
"""What is read of a response's chain of thought: how often it goes back; states from which it goes back with nothing
tried below; steps to a state that an earlier step led to; backtracks to a state that is not there."""


def sample_schema() -> Any:
    """The `pyarrow.Schema` of `samples.parquet`, one row a sample.

    `cluster` names the problems that are not independent of this one; `tokens` counts sampled tokens with the
    terminator; `extracted` is what maj@k compares; `MEASURES` are null where no template says how a response speaks.
    """
    import pyarrow as pa

    text, number = pa.string(), pa.int32()
    columns = {"source": text, "problem": text, "level": text, "cluster": text, "verifier": text}
    columns |= {"arm": text, "sample": number, "seed": pa.int64(), "text": text, "tokens": number, "finish": text}
    columns |= {"outcome": text, "extracted": text, "detail": text}
    columns |= dict.fromkeys(MEASURES, number)
    return pa.schema(list(columns.items()))


def cluster_of(source: str, problem: Problem, key: str) -> str:
    """Name of the problem's cluster: by the value of its info at `key`, in any order of a list, else the problem."""
    value = problem.info.get(key) if key else None
    if value is None:
        return f"{source}/{problem.id}"
    if isinstance(value, list):
        value = sorted(value, key=str)
    return json.dumps(value, sort_keys=True)
