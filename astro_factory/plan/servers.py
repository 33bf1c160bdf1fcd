"""The servers that have to run before a stage does, as commands for a shell."""

import shlex
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from astro_factory.core.adapters import read_adapter
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.models import BASE
from astro_factory.stages import stage_kind


def server_commands(graph: Graph, names: Collection[str], show_path: Callable[[str], str]) -> dict[str, list[str]]:
    """For each of these nodes that needs servers, the commands that start them, on GPUs of their own.

    Args:
        show_path: the command that prints the folder of a stage's output.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        node = graph.nodes[name]
        models = {local: _word(_whole(graph, graph.nodes[source]), show_path) for local, source in node.reads.items()}
        if commands := list(stage_kind(node.module).servers(node.config, models)):
            found[name] = commands
    return found


def _whole(graph: Graph, node: GraphNode) -> GraphNode:
    """The whole model below an adapter: a server loads it, and gets the adapter with the weights."""
    while getattr(node.config, "save", "") == "adapter":
        node = graph.nodes[node.reads[getattr(node.config, "model")]]  # noqa: B009
    return node


def _word(node: GraphNode, show_path: Callable[[str], str]) -> str:
    """A model as a word of the shell: its repository on the Hub, or a command that prints its folder."""
    if node.kind == "hub" and (repo := getattr(node.config, "repo", "")):
        return shlex.quote(repo)
    return next(_bases(node, show_path), f'"$({show_path(node.name)})"')


def _bases(node: GraphNode, show_path: Callable[[str], str]) -> Iterator[str]:
    """The base of an adapter in a local folder."""
    for folder in map(Path, node.files.values()):
        if not (adapter := read_adapter(folder)):
            continue
        if (folder / BASE).is_dir() or not adapter.base_on_hub:
            yield f'"$({show_path(node.name)})/{BASE}"'
        else:
            yield shlex.quote(str(adapter.base_model_name_or_path))
