"""Finds adapters of modules that their model does not have, from its config alone."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from astro_factory.core.adapters import missing_modules
from astro_factory.core.errors import Diagnostic
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.model_shapes import ModelShape, read_shape_file
from astro_factory.stages import stage_kind
from astro_factory.training.settings import TrainingConfig


def adapter_faults(graph: Graph, names: Collection[str]) -> list[Diagnostic]:
    """E530 for each of these stages whose adapter names a module that its model, of known shape, does not have."""
    shapes: dict[str, ModelShape] = {}
    found: list[Diagnostic] = []
    for name, node in graph.nodes.items():
        known = shapes_by_config_name(node, shapes)
        if shape := shape_of(node, known):
            shapes[name] = shape
        if name in names and isinstance(node.config, TrainingConfig) and node.config.adapter:
            wanted, model = node.config.adapter.target_modules, known.get(node.config.model)
            if model and wanted != "all-linear" and (fault := missing_modules(wanted, model.linear_layers)):
                found.append(replace(fault, place=node.locate(("adapter", "target_modules")) or node.place))
    return found


def shape_of(node: GraphNode, shapes: Mapping[str, ModelShape]) -> ModelShape | None:
    """The shape of the model that a node makes, as far as known.

    Args:
        shapes: of the models that it reads, by the names in its config.
    """
    for folder in node.files.values():
        if (file := Path(folder) / "config.json").is_file():
            return read_shape_file(file)
    return stage_kind(node.module).shape(node.config, shapes)


def shapes_by_config_name(node: GraphNode, shapes: Mapping[str, ModelShape]) -> dict[str, ModelShape]:
    """The shapes of the models that a node reads, by the names in its config."""
    return {name: shapes[source] for name, source in node.reads.items() if source in shapes}
