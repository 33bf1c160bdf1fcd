"""Finds adapters that do not fit their model, or the engine that samples from them, from configs alone."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from astro_factory.core.adapters import module_fault, rank_fault, vllm_rank_fault
from astro_factory.core.errors import Diagnostic
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.model_shapes import ModelShape
from astro_factory.engines.config import VllmConfig
from astro_factory.runtime.node_shapes import node_shapes, shapes_by_config_name
from astro_factory.training.settings import LoraAdapter, TrainingConfig


def adapter_faults(graph: Graph, names: Collection[str]) -> list[Diagnostic]:
    """For these stages: E530 for an adapter of a module that its model, of known shape, does not have, and E534 for one
    of a rank that the model, or the engine that is to sample from it, cannot have."""
    shapes = node_shapes(graph.nodes)
    found: list[Diagnostic] = []
    for name, node in graph.nodes.items():
        if name not in names:
            continue
        if isinstance(node.config, TrainingConfig) and node.config.adapter:
            model = shapes_by_config_name(node, shapes).get(node.config.model)
            if model and (found_here := _fault(node.config.adapter, model)):
                field, fault = found_here
                found.append(replace(fault, place=node.locate(("adapter", field)) or node.place))
        found += _too_large_for_vllm(graph, node)
    return found


def _fault(adapter: LoraAdapter, model: ModelShape) -> tuple[str, Diagnostic] | None:
    """A field of an adapter and what is wrong with it."""
    layers = model.linear_layers
    wanted = list(layers) if adapter.target_modules == "all-linear" else adapter.target_modules
    if fault := module_fault(wanted, layers):
        return "target_modules", fault
    fault = rank_fault(adapter.rank, (min(layers[name]) for name in wanted))
    return ("rank", fault) if fault else None


def _too_large_for_vllm(graph: Graph, node: GraphNode) -> Iterator[Diagnostic]:
    """E534 for each adapter from which a stage is to sample with vLLM, and whose rank vLLM does not support."""
    if not isinstance(getattr(node.config, "engine", None), VllmConfig):
        return
    for source in dict.fromkeys(node.reads.values()):
        config = graph.nodes[source].config
        if not (isinstance(config, TrainingConfig) and config.adapter and config.save == "adapter"):
            continue
        if fault := vllm_rank_fault(config.adapter.rank, source):
            yield replace(fault, place=graph.nodes[source].locate(("adapter", "rank")) or node.place)
