"""The provenance that a publish stage sends along: the spec as compiled, and the records of all it publishes."""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from astro_factory.core.graph import Graph, Node
from astro_factory.core.results import Result


def write_provenance(folder: Path, graph: Graph, node: Node, results: Mapping[str, Result]) -> Path:
    """`spec.yaml` and `records/<key>.json` for every node upstream of a publish stage; no times, no paths."""
    (folder / "records").mkdir(parents=True, exist_ok=True)
    (folder / "spec.yaml").write_text(yaml.safe_dump(dict(graph.source), sort_keys=False), encoding="utf-8")
    for name in graph.closure(set(node.references)):
        result = results[name]
        text = json.dumps(
            {"name": name, "key": result.key, "record": result.record, "outputs": result.outputs},
            indent=1,
            sort_keys=True,
            ensure_ascii=False,
        )
        (folder / "records" / f"{result.key}.json").write_text(text + "\n", encoding="utf-8")
    return folder
