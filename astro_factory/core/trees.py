"""Search trees: plain data, written by `search`, read by `traces`, reports and viewers.

A tree is a list of nodes in creation order. Node 0 is the root, which has no step; children come after their parent.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.step_format import StepFormat
from astro_factory.core.tables import read_batches

if TYPE_CHECKING:
    import pyarrow as pa

_STEPS = b"steps"
"""Key of the step format in the metadata of a table."""
_facts_json = json.JSONEncoder(sort_keys=True).encode


@dataclass(slots=True)
class TreeNode:
    """One step of a solution. The symbols are those of section 2 of the paper."""

    parent: int
    """Index of the parent; -1 at the root."""
    text: str
    """The step as the model wrote it (or as the domain completed it), without the delimiter; empty at the root."""
    prior: float = 0.0
    """P(a|S): the policy's prior of this step among its siblings."""
    visits: int = 0
    """N(S, a)."""
    value: float = 0.0
    """Q(S, a), on the scale of the verifier's score (0 to 1)."""
    reward: float = 0.0
    """R: mean score of this node's own rollouts."""
    rollouts: int = 0
    """Number of rollouts in R, or of votes; 1 for a verifier's value."""
    terminal: bool = False
    verdict: str = ""
    """Terminals only: a `core.verdicts.Outcome` value."""
    answer: str = ""
    """Terminals only: the extracted answer. Incorrect terminals with equal answers count as the same mistake."""
    closing: str = ""
    """Terminals only: the line that states the answer, in domains that write it apart from the last step."""
    facts: dict[str, str] = field(default_factory=dict)
    """What the verifier knows about the state after this step (countdown: `left`, `result`), for templates."""

    @property
    def basis(self) -> str:
        """What Q rests on beside the verdicts below, as text: the node's own rollouts, if it had any."""
        return f" ({self.rollouts} rollout{'s' * (self.rollouts > 1)})" if self.rollouts else ""


class Call(NamedTuple):
    """One sample of the model. The calls of a tree are enough to rebuild it (`search.replay`)."""

    node: int
    """The node that the sample continues."""
    purpose: str
    """`step`, `rollout` or `evaluation` (a vote of the model on a state)."""
    seed: int
    prompt: str
    """Digest of the prompt's token ids."""
    ids: tuple[int, ...]
    """Sampled token ids."""
    logprobs: tuple[float, ...]
    """Log-probability of each sampled id, as float32."""


@dataclass(slots=True)
class Tree:
    """The search tree of one problem, with what it cost."""

    problem: Problem
    nodes: list[TreeNode]
    calls: list[Call] = field(default_factory=list)
    """Every sample the tree was built from, in the order of the requests."""
    tokens: int = 0
    """Tokens sampled for this tree."""
    iterations: int = 0

    def children(self, index: int) -> list[int]:
        return [i for i, node in enumerate(self.nodes) if node.parent == index]

    def path(self, index: int) -> list[int]:
        """Indices from the root's child down to `index`; empty for the root."""
        path = []
        while index > 0:
            path.append(index)
            index = self.nodes[index].parent
        return path[::-1]

    def terminals(self) -> list[int]:
        return [i for i, node in enumerate(self.nodes) if node.terminal]

    def as_row(self) -> dict[str, Any]:
        """The row of `trees.parquet`. Nodes and calls are structs; facts are JSON because their names vary."""
        nodes = [{name: getattr(node, name) for name in _NODE_TYPES} for node in self.nodes]
        for row in nodes:
            row["facts"] = _facts_json(row["facts"])
        return {
            "problem": self.problem.as_row(),
            "nodes": nodes,
            "calls": [
                {**call._asdict(), "ids": list(call.ids), "logprobs": list(call.logprobs)} for call in self.calls
            ],
            "tokens": self.tokens,
            "iterations": self.iterations,
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Tree":
        """The inverse of `as_row`; only `problem` and `nodes` are required."""
        nodes = [TreeNode(**{**node, "facts": json.loads(node["facts"])}) for node in row["nodes"]]
        calls = [
            Call(**{**call, "ids": tuple(call["ids"]), "logprobs": tuple(call["logprobs"])})
            for call in row.get("calls", [])
        ]
        return cls(Problem.from_row(row["problem"]), nodes, calls, row.get("tokens", 0), row.get("iterations", 0))


@cache
def tree_schema() -> "pa.Schema":
    """The schema of `trees.parquet`."""
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


def schema_with_steps(steps: StepFormat | None) -> "pa.Schema":
    """The schema of `trees.parquet` with the format of the steps in its metadata, for `step_format_of`."""
    if steps is None:
        return tree_schema()
    return tree_schema().with_metadata({_STEPS: steps.model_dump_json(exclude_none=True)})


def step_format_of(path: Path) -> StepFormat | None:
    """The format in which a search wrote the steps of its trees; None for lines, and for what cannot be read."""
    from pyarrow.parquet import read_schema

    found = (read_schema(path).metadata or {}).get(_STEPS)
    try:
        return StepFormat.model_validate_json(found) if found else None
    except ValueError:
        return None


def pack(tree: Tree) -> bytes:
    """One tree as the store keeps it: a compressed Arrow record batch of one row."""
    import pyarrow as pa

    schema = tree_schema()
    columns: dict[str, list[Any]] = {name: [getattr(node, name) for node in tree.nodes] for name in _NODE_TYPES}
    columns["facts"] = list(map(_facts_json, columns["facts"]))
    nodes, calls = (
        _struct_list(schema.field(name).type, values)
        for name, values in (("nodes", columns), ("calls", _call_columns(tree.calls)))
    )
    problem = pa.array([tree.problem.as_row()], schema.field("problem").type)
    batch = pa.RecordBatch.from_arrays(
        [problem, nodes, calls, pa.array([tree.tokens], pa.int64()), pa.array([tree.iterations], pa.int64())],
        schema=schema,
    )
    return zlib.compress(batch.serialize(), level=1)


def unpack(data: bytes) -> "pa.RecordBatch":
    """The record batch of a packed tree: one row of `trees.parquet`."""
    import pyarrow as pa

    return pa.ipc.read_record_batch(pa.py_buffer(zlib.decompress(data)), tree_schema())


def _call_columns(calls: Sequence[Call]) -> dict[str, Sequence[Any]]:
    return dict(zip(Call._fields, zip(*calls, strict=True) if calls else [()] * len(Call._fields), strict=True))


def _struct_list(kind: "pa.DataType", columns: Mapping[str, Sequence[Any]]) -> "pa.Array":
    """A list column of one row whose items are structs, built from one sequence per field."""
    import pyarrow as pa

    fields = [kind.value_type.field(index) for index in range(kind.value_type.num_fields)]
    arrays = [_array(columns[field.name], field.type) for field in fields]
    structs = pa.StructArray.from_arrays(arrays, fields=fields)
    return pa.ListArray.from_arrays(pa.array([0, len(structs)], pa.int32()), structs, type=kind)


def _array(values: Sequence[Any], kind: "pa.DataType") -> "pa.Array":
    """An Arrow array. Lists of numbers are concatenated first, which is much faster than converting each list."""
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_list(kind):
        return pa.array(values, kind)
    offsets = np.cumsum([0, *map(len, values)], dtype=np.int32)
    flat = np.fromiter(chain.from_iterable(values), kind.value_type.to_pandas_dtype(), offsets[-1])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat), type=kind)


def read_trees(path: Path) -> Iterator[Tree]:
    """The trees of a table, one at a time, without their calls, which can be most of the file."""
    yield from _read(path, ["problem", "nodes", "tokens", "iterations"], 256)


def read_trees_with_calls(path: Path) -> Iterator[Tree]:
    """The trees of a table, one at a time, with their calls."""
    yield from _read(path, None, 16)


def _read(path: Path, columns: list[str] | None, batch_size: int) -> Iterator[Tree]:
    for batch in read_batches(path, batch_size, columns):
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
"""Column types of a node, by field of `TreeNode`."""
