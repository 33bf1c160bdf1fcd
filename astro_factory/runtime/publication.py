"""The provenance in a publication: the compiled spec and the records of everything that is published."""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.results import Result


class _Dumper(yaml.SafeDumper):
    """Quotes strings that YAML 1.2 would read as numbers: PyYAML writes YAML 1.1, in which `1e-5` is a string."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = '"' if text[:1] in tuple("+-.0123456789") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def spec_text(source: Mapping[str, object]) -> str:
    """A spec as text that means the same in YAML 1.1 and 1.2."""
    return yaml.dump(dict(source), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def write_provenance(folder: Path, graph: Graph, node: GraphNode, results: Mapping[str, Result]) -> Path:
    """Write `spec.yaml` and `records/<key>.json` for every node upstream of a publish stage; no times, no paths."""
    (folder / "records").mkdir(parents=True, exist_ok=True)
    (folder / "spec.yaml").write_text(spec_text(graph.source), encoding="utf-8")
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
