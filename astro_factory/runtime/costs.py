"""The history of what runs took, which the estimates of a plan are based on: one JSON line per run.

    costs/stages.search.jsonl

It affects no key and no result, so the folder may be deleted at any time.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.results import Provenance, Result
from astro_factory.core.workload import Rows, Workload
from astro_factory.runtime.node_shapes import node_shapes, parameters
from astro_factory.runtime.provenance import Environment
from astro_factory.runtime.resources import processors
from astro_factory.stages import stage_kind
from astro_factory.store import Store

_READ_BYTES = 1 << 16
"""How much to read from the end of a file."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took."""

    spec: str
    stage: str
    unit: str
    units: float
    """The units of work that the kind's `estimate` computes from the actual sizes of the inputs."""
    processor: str
    """What `seconds` counts: `cores` or `GPUs`."""
    machine: str
    seconds: float
    """Summed over all processors."""
    calls: float
    tokens: float
    rows: float | None
    bytes: int
    parameters: int | None = None
    """Of the model, or the largest of several; None if there is none or its shape is unknown."""


def workload_of(node: GraphNode, rows: Rows) -> Workload:
    """How much a run of a node has to do, as its kind estimates it."""
    return stage_kind(node.module).estimate(node.config, rows)


def input_rows(node: GraphNode, rows: Mapping[str, float | None]) -> Rows:
    """The known row counts of a node's inputs by the names that its config uses; `rows` is by node."""
    known = {name: rows.get(source) for name, source in node.reads.items()}
    return {name: count for name, count in known.items() if count is not None}


def machine_kind(environment: Environment | Provenance) -> str:
    """The part of an environment that decides how fast a run is: its GPUs, or without any its CPU."""
    processors = sorted(set(environment.get("gpus", ()))) or [environment.get("cpu", "")]
    return ", ".join(filter(None, [environment.get("machine", "?"), *processors]))


def append_cost(store: Store, graph: Graph, node: GraphNode, rows: Mapping[str, float | None], result: Result) -> None:
    """Add a line for a run; `rows` has the row counts of its inputs by node."""
    workload = workload_of(node, input_rows(node, rows))
    if not workload.units:
        return
    spent, (count, processor) = result.provenance, processors(node)
    names = graph.closure({node.name})
    behind = {name: known for name, known in graph.nodes.items() if name in names}
    cost = Cost(
        spec=graph.name,
        stage=node.name.partition("[")[0],
        unit=workload.unit,
        units=workload.units,
        processor=processor,
        machine=machine_kind(spent),
        seconds=round(spent["seconds"] * count, 2),
        calls=spent.get("calls", 0),
        tokens=spent.get("tokens", 0),
        rows=spent.get("rows"),
        bytes=sum(entry["size"] for entry in result.outputs.values()),
        parameters=parameters(node, node_shapes(behind)),
    )
    path = _path(store, node)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:  # a single write, so lines of concurrent builds do not interleave
        file.write(json.dumps(asdict(cost)).encode() + b"\n")


def read_costs(store: Store, node: GraphNode) -> list[Cost]:
    """The latest runs of the node's kind, oldest first."""
    try:
        with _path(store, node).open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - _READ_BYTES)
            file.seek(start)
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    found = []
    for line in lines[1:] if start else lines:
        try:
            found.append(Cost(**json.loads(line)))
        except (ValueError, TypeError):
            continue  # torn, or written by another version
    return found


def _path(store: Store, node: GraphNode) -> Path:
    return store.root / "costs" / f"{node.section}.{node.kind}.jsonl"
