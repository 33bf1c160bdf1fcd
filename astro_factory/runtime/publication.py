"""The provenance in a publication: the compiled spec and the records of everything that is published."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.results import Result
from astro_factory.runtime.published_files import PublishedFiles

_NODES = ("models", "problems", "stages", "publish")
_DEFINITIONS = ("engines", "search_policies", "templates", "suites")
_PATH_FIELDS = ("path", "repo", "supersedes")
_TEMPLATE_FIELDS = ("template", "backtracks", "prompt", "word_sources")
_LOCAL_SERVER = "http://localhost:8000/v1"
"""Stands for the publisher's servers in a published spec."""


class _Dumper(yaml.SafeDumper):
    """Quotes strings that YAML 1.2 would read as numbers: PyYAML writes YAML 1.1, in which `1e-5` is a string."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = '"' if text[:1] in tuple("+-.0123456789") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def spec_text(source: Mapping[str, object]) -> str:
    """A spec as text that means the same in YAML 1.1 and 1.2."""
    return yaml.dump(dict(source), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def published_source(graph: Graph, node: GraphNode, files: PublishedFiles) -> dict[str, object]:
    """The part of a spec that a publication was made from: its nodes, and the definitions that they use.

    Engines are stripped of addresses and key variables, and paths lead to the files that travel with the spec: what
    belongs to the publisher's machine is not part of a key.
    """
    in_spec = {name: spec_name for variant in graph.variants for spec_name, name in variant.nodes.items()}
    nodes = {
        (graph.nodes[name].section, in_spec.get(name, name).removeprefix("publish."))
        for name in graph.closure({node.name})
    }
    published: dict[str, object] = {key: graph.source[key] for key in ("factory", "name", "env") if key in graph.source}
    texts: set[str] = set()
    for section, entries in _sections(graph, _NODES):
        kept = {name: _portable(value, files) for name, value in entries.items() if (section, name) in nodes}
        texts |= _texts(kept)
        if kept:
            published[section] = kept
    for section, entries in _sections(graph, _DEFINITIONS):
        kept = {name: _portable(value, files, section) for name, value in entries.items() if name in texts}
        if kept:
            published[section] = kept
    return published


def _sections(graph: Graph, names: Iterable[str]) -> Iterator[tuple[str, dict[str, object]]]:
    for section in names:
        entries = graph.source.get(section)
        if isinstance(entries, dict):
            yield section, entries


def _texts(value: object) -> set[str]:
    """Every string in a value: a superset of the names of the definitions that it uses."""
    if isinstance(value, dict):
        return {text for key, item in value.items() for text in _texts(item) | {str(key)}}
    if isinstance(value, list | tuple):
        return {text for item in value for text in _texts(item)}
    return {value} if isinstance(value, str) else set()


def _portable(value: object, files: PublishedFiles, section: str = "", key: str = "") -> object:
    """A value without hosts, key variables and absolute paths."""
    if isinstance(value, dict):
        if value.get("kind") == "openai":
            value = {name: item for name, item in value.items() if name != "api_key_env"}
            value["base_urls"] = [_LOCAL_SERVER]
        return {name: _portable(item, files, section, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(item, files, section, key) for item in value]
    if isinstance(value, str) and key == "path" and value in files.names:
        return files.names[value]
    if isinstance(value, str) and (key in _TEMPLATE_FIELDS or section == "templates"):
        return files.template(value)
    if isinstance(value, str) and key in _PATH_FIELDS:
        scheme = "file:" if value.startswith("file:") else ""
        path = Path(value.removeprefix("file:"))
        return scheme + path.name if path.is_absolute() or value.removeprefix("file:").startswith("~") else value
    if isinstance(value, str) and key == "server_url":
        return _LOCAL_SERVER.removesuffix("/v1")
    return value


def write_provenance(
    folder: Path, graph: Graph, node: GraphNode, results: Mapping[str, Result], outputs: Mapping[str, Path]
) -> Path:
    """Write what a publish stage needs beside its inputs; no times, no paths.

    These are `spec.yaml`, the files that it reads, `records/<key>.json` for every node upstream, and `report.html`.

    Args:
        outputs: The folders that are published, by node.
    """
    from astro_factory.report.published import published_report  # with the libraries of a report, which few builds need

    (folder / "records").mkdir(parents=True, exist_ok=True)
    files = PublishedFiles.of(graph, node)
    files.write(folder)
    (folder / "spec.yaml").write_text(spec_text(published_source(graph, node, files)), encoding="utf-8")
    for name in graph.closure(set(node.references)):
        result = results[name]
        text = json.dumps(
            {"name": name, "key": result.key, "record": result.record, "outputs": result.outputs},
            indent=1,
            sort_keys=True,
            ensure_ascii=False,
        )
        (folder / "records" / f"{result.key}.json").write_text(text + "\n", encoding="utf-8")
    page = published_report(graph, node, results, outputs)
    (folder / "report.html").write_text(page, encoding="utf-8", newline="\n")
    return folder
