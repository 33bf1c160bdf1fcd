"""What runs took, kept a line each beside the store's results, so that plans can tell what the next ones will take.

    costs/stages.search.jsonl

They are in no key and lead to no result: the folder may be deleted at any time.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from astro_factory.core.graph import GraphNode
from astro_factory.core.results import Result
from astro_factory.core.workload import Rows, Workload
from astro_factory.runtime.resources import processors
from astro_factory.stages import stage_kind
from astro_factory.store import Store

_READ_BYTES = 1 << 16
"""Of a file of costs, from its end."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took."""

    spec: str
    stage: str
    unit: str
    units: float
    """What `estimate` told of this run with the true sizes of its inputs."""
    processor: str
    """`cores`, or `GPUs`."""
    machine: str
    seconds: float
    """Of all processors together."""
    calls: float
    tokens: float
    rows: float | None
    bytes: int


def workload_of(node: GraphNode, rows: Rows) -> Workload:
    """How much a run of a node has to do, as its kind estimates it."""
    return stage_kind(node.module).estimate(node.config, rows)


def rows_read(node: GraphNode, rows: Mapping[str, float | None]) -> Rows:
    """Rows of what a node reads by the names of its config, from those of nodes."""
    known = {name: rows.get(source) for name, source in node.reads.items()}
    return {name: count for name, count in known.items() if count is not None}


def machine_kind(environment: Mapping[str, Any]) -> str:
    """What of an environment decides how fast a run is."""
    return ", ".join([environment.get("machine", "?"), *sorted(set(environment.get("gpus", ())))])


def keep_cost(store: Store, spec: str, node: GraphNode, rows: Mapping[str, float | None], result: Result) -> None:
    """Add a line for a run; `rows` are those of the nodes that it read."""
    workload = workload_of(node, rows_read(node, rows))
    if not workload.units:
        return
    spent, (count, processor) = result.provenance, processors(node)
    cost = Cost(
        spec=spec,
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
    )
    path = _path(store, node)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:  # one write, so that builders do not mix their lines
        file.write(json.dumps(asdict(cost)).encode() + b"\n")


def costs(store: Store, node: GraphNode) -> list[Cost]:
    """The last runs of the node's kind, the youngest last."""
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
            continue  # torn, or of another version
    return found


def _path(store: Store, node: GraphNode) -> Path:
    return store.root / "costs" / f"{node.section}.{node.kind}.jsonl"
