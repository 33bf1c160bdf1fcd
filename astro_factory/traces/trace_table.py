"""The rows of `traces.parquet`: the conversation to train on, and the nodes and segments it consists of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astro_factory.core.dialogues import message_type
from astro_factory.core.trees import Tree
from astro_factory.traces.render import Segment, trace_text

if TYPE_CHECKING:
    import pyarrow as pa


def trace_schema(tokens: bool = False, learned: bool = False, weight: bool = False) -> "pa.Schema":
    """The schema of `traces.parquet`.

    `segments` cover the assistant's text except for the line breaks and spaces between them; `start` and `end` count
    characters. `node_sequence` and `node` are indices into the problem's tree. `tokens` adds `num_tokens`, the length
    of the response; `learned` and `weight` add whether and how much training learns each segment.
    """
    import pyarrow as pa

    segment = [
        ("kind", pa.string()),
        ("text", pa.string()),
        ("node", pa.int32()),
        ("start", pa.int32()),
        ("end", pa.int32()),
    ]
    if learned:
        segment.append(("learned", pa.bool_()))
    if weight:
        segment.append(("weight", pa.float64()))
    columns = [
        ("problem_id", pa.string()),
        ("messages", pa.list_(message_type())),
        ("template", pa.string()),
        ("node_sequence", pa.list_(pa.int32())),
        ("segments", pa.list_(pa.struct(segment))),
        ("num_backtracks", pa.int32()),
        ("num_wrong", pa.int32()),
        ("seed", pa.int64()),
    ]
    if tokens:
        columns.append(("num_tokens", pa.int32()))
    return pa.schema(columns)


def trace_row(
    tree: Tree, sequence: Sequence[int], segments: Sequence[Segment], template: str, seed: int, text: str | None = None
) -> dict[str, Any]:
    """The row of one trace. `template` is the entry's name; pass `text` if the text of the segments is known already.

    `num_wrong` counts the wrong terminals visited, `num_backtracks` the jumps.
    """
    wrong = {node for node in sequence[:-1] if tree.nodes[node].terminal}
    return {
        "problem_id": tree.problem.id,
        "messages": [
            {"role": "user", "content": tree.problem.question},
            {"role": "assistant", "content": trace_text(segments) if text is None else text},
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


def mark_learned(tree: Tree, row: dict[str, Any]) -> None:
    """Set `learned` on each segment: false for steps of abandoned branches."""
    for segment, kind in zip(row["segments"], _loss_kinds(tree, row), strict=True):
        segment["learned"] = kind != "wrong_step"


def mark_weights(tree: Tree, row: dict[str, Any], weights: Mapping[str, float]) -> None:
    """Set `weight` on each segment by its kind; steps of abandoned branches are `wrong_step`."""
    for segment, kind in zip(row["segments"], _loss_kinds(tree, row), strict=True):
        segment["weight"] = weights[kind]


def _loss_kinds(tree: Tree, row: Mapping[str, Any]) -> Iterator[str]:
    """The kind of each segment, with `wrong_step` for steps that are not on the path to the correct terminal."""
    correct_path = set(tree.path(row["node_sequence"][-1]))
    for segment in row["segments"]:
        yield "wrong_step" if segment["kind"] == "step" and segment["node"] not in correct_path else segment["kind"]


def read_terminals(path: Path) -> Iterable[tuple[str, int]]:
    """Problem id and correct terminal of each trace of a table, in order."""
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read(columns=["problem_id", "node_sequence"])
    return [(row["problem_id"], row["node_sequence"][-1]) for row in table.to_pylist()]
