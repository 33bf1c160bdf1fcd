"""The `config.json` of Hub models, from which a plan predicts memory; weights are not downloaded."""

from contextlib import suppress

from astro_factory.core.errors import UserError
from astro_factory.core.graph import Graph, GraphNode


def fetch_configs(graph: Graph) -> None:
    """Download what the graph's targets need, and is neither known nor in the Hub's cache.

    A model that cannot be reached gets no prediction.
    """
    wanted = graph.wanted()
    for name, node in graph.nodes.items():
        if name in wanted and (node.section, node.kind) == ("models", "hub"):
            _fetch(node)


def _fetch(node: GraphNode) -> None:
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    from astro_factory.hub.client import hub_client
    from astro_factory.stages.models import hub

    config = node.config
    if isinstance(config, hub.Config) and hub.shape(config, {}) is None:
        with suppress(HfHubHTTPError, LocalEntryNotFoundError, UserError, OSError):
            hub_client().hf_hub_download(config.repo, "config.json", revision=config.revision)
