"""The report that travels with a publication: the same page, made of what is published and of the records alone.

It has no time, no machine, no version and nothing that only the publisher's store knows, so equal publications have
equal reports. Formulas stay text, because the package that renders them is optional. The report of a model shows no
problems and no responses, because those of test sets should not spread.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.results import Result
from astro_factory.report.built import BuiltSpec, BuiltStage, Section
from astro_factory.report.page import page, sections_of
from astro_factory.report.pipeline import leaves

_TEXTS = ("samples", "trees", "votes", "data")
"""Views that show problems and responses."""


def published_report(graph: Graph, node: GraphNode, results: Mapping[str, Result], folders: Mapping[str, Path]) -> str:
    """The page of a publish stage.

    Args:
        results: Of every stage upstream, by name.
        folders: The outputs that are published, by the name of their stage.
    """
    built = {
        name: BuiltStage(graph.nodes[name], replace(results[name], provenance={}), folder)
        for name, folder in folders.items()
    }
    found = sections_of(BuiltSpec(graph, {}, built))
    hidden = _TEXTS if any(graph.nodes[name].output is ArtifactType.MODEL for name in folders) else ()
    found |= {"pipeline": _pipeline(graph, node, results, built), "sweep": {}} | {name: [] for name in hidden}
    overview = found["overview"]
    views = ["pipeline", *(view for view in overview["views"] if view not in hidden)]
    notes = [] if hidden else overview["notes"]
    found["overview"] = {"version": "", "views": views, "notes": notes, "formulas": {}, "published": True}
    return page(graph.name, found)


def _pipeline(
    graph: Graph, node: GraphNode, results: Mapping[str, Result], built: Mapping[str, BuiltStage]
) -> list[Section]:
    """Like `pipeline.pipeline`, from the records."""
    layers: dict[str, int] = {}
    rows: list[Section] = []
    upstream = {name: graph.nodes[name].references for name in sorted(graph.closure(set(node.references)))}
    for name in TopologicalSorter(upstream).static_order():
        stage, result = graph.nodes[name], results[name]
        layers[name] = 1 + max((layers[source] for source in stage.references), default=-1)
        rows.append(
            {
                "name": name,
                "kind": stage.kind,
                "section": stage.section,
                "makes": str(stage.output),
                "status": "published" if name in built else "recorded",
                "reason": "its files are here" if name in built else "its record is here, its files are not",
                "built": name in built,
                "key": result.key,
                "layer": layers[name],
                "reads": list(stage.references),
                "config": sorted(_settings(result)),  # a record has one order when it is made, another when it is read
                "bytes": sum(entry["size"] for entry in result.outputs.values()),
            }
        )
    return rows


def _settings(result: Result) -> Iterator[tuple[str, str]]:
    """The settings in a record, which has digests instead of inputs, files and addresses."""
    config = result.record["config"]
    assert isinstance(config, Mapping)
    for name, value in config.items():
        if name != "kind" and not (isinstance(value, Mapping) and "content" in value):
            yield from leaves(name, value)
