"""Votes on right ends: a model's own judgements of a solution, so that a lucky guess is not taught as reasoning."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def vote_schema() -> Any:
    """The `pyarrow.Schema` of `votes.parquet`: a right end by its problem and node, and the votes on it."""
    import pyarrow as pa

    return pa.schema(
        [("problem_id", pa.string()), ("node", pa.int32()), ("votes", pa.int32()), ("in_favour", pa.int32())]
    )


def trusted_terminals(path: Path, unanimous: bool) -> Mapping[str, frozenset[int]]:
    """Problem to those of its right ends that all votes, or more than half of them, speak for."""
    from astro_factory.core.tables import read_table

    trusted: dict[str, set[int]] = {}
    for row in read_table(path):
        needed = row["votes"] if unanimous else row["votes"] // 2 + 1
        if row["votes"] and row["in_favour"] >= needed:
            trusted.setdefault(row["problem_id"], set()).add(row["node"])
    return {problem: frozenset(nodes) for problem, nodes in trusted.items()}
