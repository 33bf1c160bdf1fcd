"""The columns of `samples.parquet`, from which reports are computed."""

import json
from typing import TYPE_CHECKING

from astro_factory.core.problems import Problem

if TYPE_CHECKING:
    import pyarrow

MEASURES = ("backtracks", "dead_ends", "revisited", "unresolved")
"""Measures of a response's chain of thought, read from states where the domain knows them: how often it backtracks;
states that it leaves without trying anything below them; steps to a state that an earlier step reached; backtracks to a
state that does not exist."""

LATER_MEASURES = ("repeated", "worded")
"""More of them: complete attempts that repeat an earlier one, in any order of their steps, null where the domain knows
no states; backtracks in the template's words."""

LATER_COLUMNS = ("accepted", "fails_after", *LATER_MEASURES)
"""Columns that files written by earlier versions lack."""


def sample_schema() -> "pyarrow.Schema":
    """The schema of `samples.parquet`, one row for each sample.

    `cluster` names a set of problems that are not independent; `tokens` counts sampled tokens, terminator included;
    `extracted` is what maj@k compares; `accepted` is the domain's own check (`Verifier.accepts`), null if it has none;
    `fails_after` the tokens after which a check of the steps rejects the sample (`Verifier.fails_at`), null if it is
    accepted or only the whole text shows it; the measures are null without a template to read responses by.
    """
    import pyarrow as pa

    text, number = pa.string(), pa.int32()
    columns = {"source": text, "problem": text, "level": text, "cluster": text, "verifier": text}
    columns |= {"arm": text, "sample": number, "seed": pa.int64(), "text": text, "tokens": number, "finish": text}
    columns |= {"outcome": text, "extracted": text, "detail": text, "accepted": pa.bool_(), "fails_after": pa.float32()}
    columns |= dict.fromkeys((*MEASURES, *LATER_MEASURES), number)
    return pa.schema(list(columns.items()))


def cluster_of(source: str, problem: Problem, key: str) -> str:
    """Name of the problem's cluster: the value of its info at `key` (a list in any order), else the problem itself."""
    value = problem.info.get(key) if key else None
    if value is None:
        return f"{source}/{problem.id}"
    if isinstance(value, list):
        value = sorted(value, key=str)
    return json.dumps(value, sort_keys=True)
