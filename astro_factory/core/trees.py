"""Search trees: plain data, written by `search`, read by `traces`, reports and viewers.

A tree is a list of nodes in the order of their making; node 0 is the root (no step), a child stands after its parent.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.tables import read_batches

_facts_text = json.JSONEncoder(sort_keys=True).encode


@dataclass(slots=True)
class TreeNode:
    """One step of a solution. Symbols are those of the paper's section 2."""

    parent: int
    """Index of the parent; -1 at the root."""
    text: str
    """The step as the model wrote it (or as the domain completed it), without the delimiter; empty at the root."""
    prior: float = 0.0
    """P(a|S): the policy's prior of this step among its siblings."""
    visits: int = 0
    """N(S, a)."""
    value: float = 0.0
    """Q(S, a), in the units of the verifier's score (0 to 1)."""
    reward: float = 0.0
    """R: mean score of this node's own rollouts."""
    rollouts: int = 0
    """How many rollouts R is the mean of."""
    terminal: bool = False
    verdict: str = ""
    """Of a terminal: a `core.verdicts.Outcome` value."""
    answer: str = ""
    """Of a terminal: the extracted answer, by which wrong branches are told apart."""
    closing: str = ""
    """Of a terminal: the line that states the answer where the domain writes it apart from the last step."""
    facts: dict[str, str] = field(default_factory=dict)
    """What the domain knows of the state after this step (countdown: `left`, `result`), for templates."""


class Call(NamedTuple):
    """One sample of the model, as the tree's proof of where it comes from."""

    node: int
    """The node that it goes on from."""
    purpose: str
    """`step`, `rollout` or `evaluation` (a vote of the model on a state)."""
    seed: int
    prompt: str
    """Digest of the prompt's ids."""
    ids: Sequence[int]
    """What was sampled."""
    logprobs: Sequence[float]
    """Of each of these ids, float32."""


@dataclass(slots=True)
class Tree:
    """One problem's search tree with what it cost."""

    problem: Problem
    nodes: list[TreeNode]
    calls: list[Call] = field(default_factory=list)
    """Every sample that the tree was made from, in the order of asking."""
    tokens: int = 0
    """Tokens sampled for this tree."""
    iterations: int = 0

    def children(self, index: int) -> list[int]:
        return [i for i, node in enumerate(self.nodes) if node.parent == index]

    def path(self, index: int) -> list[int]:
        """Indices from the root's first child down to `index`; empty for the root."""
        path = []
        while index > 0:
            path.append(index)
            index = self.nodes[index].parent
        return path[::-1]

    def terminals(self) -> list[int]:
        return [i for i, node in enumerate(self.nodes) if node.terminal]

    def as_row(self) -> dict[str, Any]:
        """The row of `trees.parquet`: nodes and calls are structs; facts, whose names vary, are JSON."""
        nodes = [{name: getattr(node, name) for name in _NODE_TYPES} for node in self.nodes]
        for row in nodes:
            row["facts"] = _facts_text(row["facts"])
        return {
            "problem": self.problem.as_row(),
            "nodes": nodes,
            "calls": [call._asdict() for call in self.calls],
            "tokens": self.tokens,
            "iterations": self.iterations,
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Tree":
        """The inverse; columns besides `problem` and `nodes` may be missing."""
        nodes = [TreeNode(**{**node, "facts": json.loads(node["facts"])}) for node in row["nodes"]]
        calls = [Call(**call) for call in row.get("calls", [])]
        return cls(Problem.from_row(row["problem"]), nodes, calls, row.get("tokens", 0), row.get("iterations", 0))


@cache
def tree_schema() -> Any:
    """The `pyarrow.Schema` of `trees.parquet`."""
    import pyarrow as pa

    node = pa.struct([(name, getattr(pa, kind)()) for name, kind in _NODE_TYPES.items()])
    call = pa.struct(
        [
            ("node", pa.int32()),
            ("purpose", pa.string()),
            ("seed", pa.int64()),
            ("prompt", pa.string()),
            ("ids", pa.list_(pa.int32())),
            ("logprobs", pa.list_(pa.float32())),
        ]
    )
    return pa.schema(
        [
            ("problem", pa.struct(list(problem_schema()))),
            ("nodes", pa.list_(node)),
            ("calls", pa.list_(call)),
            ("tokens", pa.int64()),
            ("iterations", pa.int64()),
        ]
    )


def pack(tree: Tree) -> bytes:
    """A tree by itself, as the store keeps it: an Arrow record batch of one row, compressed."""
    import pyarrow as pa

    schema = tree_schema()
    columns = {name: [getattr(node, name) for node in tree.nodes] for name in _NODE_TYPES}
    columns["facts"] = list(map(_facts_text, columns["facts"]))
    nodes, calls = (
        _one_list(schema.field(name).type, found)
        for name, found in (("nodes", columns), ("calls", _columns(tree.calls)))
    )
    problem = pa.array([tree.problem.as_row()], schema.field("problem").type)
    batch = pa.RecordBatch.from_arrays(
        [problem, nodes, calls, pa.array([tree.tokens], pa.int64()), pa.array([tree.iterations], pa.int64())],
        schema=schema,
    )
    return zlib.compress(batch.serialize(), level=1)


def _columns(calls: Sequence[Call]) -> dict[str, Sequence[Any]]:
    return dict(zip(Call._fields, zip(*calls, strict=True) if calls else [()] * len(Call._fields), strict=True))


def _one_list(kind: Any, columns: dict[str, Sequence[Any]]) -> Any:
    """A list column of one row; of structs, each field a column of its own."""
    import pyarrow as pa

    fields = [kind.value_type.field(index) for index in range(kind.value_type.num_fields)]
    arrays = [_column(columns[field.name], field.type) for field in fields]
    structs = pa.StructArray.from_arrays(arrays, fields=fields)
    return pa.ListArray.from_arrays(pa.array([0, len(structs)], pa.int32()), structs, type=kind)


def _column(values: Sequence[Any], kind: Any) -> Any:
    """An array; of lists of numbers by their concatenation, which is much faster than list by list."""
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_list(kind):
        return pa.array(values, kind)
    offsets = np.cumsum([0, *map(len, values)], dtype=np.int32)
    flat = np.fromiter(chain.from_iterable(values), kind.value_type.to_pandas_dtype(), offsets[-1])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat), type=kind)


def unpack(data: bytes) -> Any:
    """The `pyarrow.RecordBatch` of a packed tree, a row for `trees.parquet`."""
    import pyarrow as pa

    return pa.ipc.read_record_batch(pa.py_buffer(zlib.decompress(data)), tree_schema())


def read_trees(path: Path) -> Iterator[Tree]:
    """The trees of a table one after another, without their calls, which can be most of the file."""
    yield from _read(path, ["problem", "nodes", "tokens", "iterations"], 256)


def read_trees_with_calls(path: Path) -> Iterator[Tree]:
    """The same with their calls."""
    yield from _read(path, None, 16)


def _read(path: Path, columns: list[str] | None, at_once: int) -> Iterator[Tree]:
    for batch in read_batches(path, at_once, columns):
        for row in batch.to_pylist():
            yield Tree.from_row(row)


_NODE_TYPES = {
    "parent": "int32",
    "text": "string",
    "prior": "float64",
    "visits": "int32",
    "value": "float64",
    "reward": "float64",
    "rollouts": "int32",
    "terminal": "bool_",
    "verdict": "string",
    "answer": "string",
    "closing": "string",
    "facts": "string",
}
