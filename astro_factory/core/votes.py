"""Votes on terminals: a model judges each solution, so that a lucky guess is not taught as reasoning."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def vote_schema(verdicts: bool = False) -> "pa.Schema":
    """The schema of `votes.parquet`: a terminal, by problem and node, and the votes on it.

    `verdicts`: with the verifier's verdict and the answer, where not only correct terminals are voted on.
    """
    import pyarrow as pa

    names = {"problem_id": pa.string(), "node": pa.int32(), "votes": pa.int32(), "in_favour": pa.int32()}
    return pa.schema(list((names | ({"verdict": pa.string(), "answer": pa.string()} if verdicts else {})).items()))


def wins(votes: int, in_favour: int, unanimous: bool) -> bool:
    """Whether all votes, or more than half of them, are in favour; no votes are no majority."""
    return votes > 0 and in_favour >= (votes if unanimous else votes // 2 + 1)


def trusted_terminals(path: Path, unanimous: bool) -> Mapping[str, frozenset[int]]:
    """By problem id, the terminals with all votes in favour, or with more than half of them."""
    from astro_factory.core.tables import read_table

    trusted: dict[str, set[int]] = {}
    for row in read_table(path):
        if wins(row["votes"], row["in_favour"], unanimous):
            trusted.setdefault(row["problem_id"], set()).add(row["node"])
    return {problem: frozenset(nodes) for problem, nodes in trusted.items()}
