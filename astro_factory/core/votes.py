"""Votes on correct terminals: a model judges each solution, so that a lucky guess is not taught as reasoning."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def vote_schema() -> "pa.Schema":
    """The schema of `votes.parquet`: a correct terminal, by problem and node, and the votes on it."""
    import pyarrow as pa

    return pa.schema(
        [("problem_id", pa.string()), ("node", pa.int32()), ("votes", pa.int32()), ("in_favour", pa.int32())]
    )


def trusted_terminals(path: Path, unanimous: bool) -> Mapping[str, frozenset[int]]:
    """By problem id, the correct terminals with all votes in favour, or with more than half of them."""
    from astro_factory.core.tables import read_table

    trusted: dict[str, set[int]] = {}
    for row in read_table(path):
        needed = row["votes"] if unanimous else row["votes"] // 2 + 1
        if row["votes"] and row["in_favour"] >= needed:
            trusted.setdefault(row["problem_id"], set()).add(row["node"])
    return {problem: frozenset(nodes) for problem, nodes in trusted.items()}
