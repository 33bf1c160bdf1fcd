"""The shapes of the models that the stages of a graph make and read, from configs alone."""

from collections.abc import Mapping
from pathlib import Path

from astro_factory.core.graph import GraphNode
from astro_factory.core.model_shapes import ModelShape, read_shape_file
from astro_factory.stages import stage_kind


def node_shapes(nodes: Mapping[str, GraphNode]) -> dict[str, ModelShape]:
    """The shape of the model of each node that makes one or works with one, as far as known.

    Args:
        nodes: in the order of a graph: what a node reads comes before it.
    """
    shapes: dict[str, ModelShape] = {}
    for name, node in nodes.items():
        if shape := _shape(node, shapes_by_config_name(node, shapes)):
            shapes[name] = shape
    return shapes


def shapes_by_config_name(node: GraphNode, shapes: Mapping[str, ModelShape]) -> dict[str, ModelShape]:
    """The shapes of the models that a node reads, by the names in its config; `shapes` is by node."""
    return {name: shapes[source] for name, source in node.reads.items() if source in shapes}


def parameters(node: GraphNode, shapes: Mapping[str, ModelShape]) -> int | None:
    """The number of parameters of a node's model or, if it has several, of the largest; None if none is known."""
    known = [shapes[node.name]] if node.name in shapes else shapes_by_config_name(node, shapes).values()
    return max((shape.parameters for shape in known), default=None)


def _shape(node: GraphNode, shapes: Mapping[str, ModelShape]) -> ModelShape | None:
    for folder in node.files.values():
        if (file := Path(folder) / "config.json").is_file():
            return read_shape_file(file)
    return stage_kind(node.module).shape(node.config, shapes)
