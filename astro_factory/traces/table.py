"""The rows of `traces.parquet`: the conversation to train on, and what it was made from."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from astro_factory.core.dialogues import message_type
from astro_factory.core.trees import Tree
from astro_factory.traces.render import Segment, text_of


def trace_schema() -> Any:
    """The `pyarrow.Schema` of `traces.parquet`.

    `segments` cover the assistant's text but for the line breaks and spaces between them; `start` and `end` count
    characters. `node_sequence` and `node` are indices into the problem's tree.
    """
    import pyarrow as pa

    segment = [
        ("kind", pa.string()),
        ("text", pa.string()),
        ("node", pa.int32()),
        ("start", pa.int32()),
        ("end", pa.int32()),
    ]
    return pa.schema(
        [
            ("problem_id", pa.string()),
            ("messages", pa.list_(message_type())),
            ("template", pa.string()),
            ("node_sequence", pa.list_(pa.int32())),
            ("segments", pa.list_(pa.struct(segment))),
            ("num_backtracks", pa.int32()),
            ("num_wrong", pa.int32()),
            ("seed", pa.int64()),
        ]
    )


def trace_row(
    tree: Tree, sequence: Sequence[int], segments: Sequence[Segment], template: str, seed: int
) -> dict[str, Any]:
    """One trace; `template` is the entry's name. A wrong end counts in `num_wrong`, a jump in `num_backtracks`."""
    wrong = {node for node in sequence[:-1] if tree.nodes[node].terminal}
    return {
        "problem_id": tree.problem.id,
        "messages": [
            {"role": "user", "content": tree.problem.question},
            {"role": "assistant", "content": text_of(segments)},
        ],
        "template": template,
        "node_sequence": list(sequence),
        "segments": [segment._asdict() for segment in segments],
        "num_backtracks": sum(
            after != before and tree.nodes[after].parent != before for before, after in pairwise(sequence)
        ),
        "num_wrong": len(wrong),
        "seed": seed,
    }


def read_ends(path: Path) -> Iterable[tuple[str, int]]:
    """Problem and right end of each trace of a table, in order."""
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read(columns=["problem_id", "node_sequence"])
    return [(row["problem_id"], row["node_sequence"][-1]) for row in table.to_pylist()]
